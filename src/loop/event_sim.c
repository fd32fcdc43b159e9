/*
 * Events in the order in which they happen: by time, then by chance. The heap of a loop is a
 * pairing heap: a node stands before all its children, which are a list; what is planned needs no
 * memory.
 */
#include "sim_priv.h"

uint64_t sim_mix(uint64_t *state)
{
	*state += 0x9E3779B97F4A7C15U; /* splitmix64 */
	uint64_t mixed = *state;
	mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
	mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
	return mixed ^ (mixed >> 31);
}

int64_t sim_soon(struct sim *sim)
{
	return sim->now_us + 1;
}

int64_t sim_after_delay(struct sim *sim)
{
	uint64_t most = (uint64_t)sim->options.delay_us_max + 1;
	return sim_soon(sim) + (int64_t)(sim_mix(&sim->random) % most);
}

void sim_check_turn(const struct sim_loop *loop)
{
	debug_check(!loop->sim->turn || loop->sim->turn == loop);
	(void)loop;
}

bool sim_event_is_first(const struct sim_event *a, const struct sim_event *b)
{
	if (a->due_us != b->due_us) {
		return a->due_us < b->due_us;
	}
	if (a->tie != b->tie) {
		return a->tie < b->tie;
	}
	return a->order < b->order;
}

/* Either may be NULL. Both are roots. */
static struct sim_event *join(struct sim_event *a, struct sim_event *b)
{
	if (!a || !b) {
		return a ? a : b;
	}
	struct sim_event *first = sim_event_is_first(a, b) ? a : b;
	struct sim_event *second = first == a ? b : a;
	second->before = first;
	second->sibling = first->child;
	if (first->child) {
		first->child->before = second;
	}
	first->child = second;
	return first;
}

static struct sim_event *cut_first(struct sim_event **list)
{
	struct sim_event *event = *list;
	if (event) {
		*list = event->sibling;
		event->sibling = NULL;
		event->before = NULL;
	}
	return event;
}

/* Joins a list of siblings in pairs, then the pairs from the last to the first. */
static struct sim_event *join_list(struct sim_event *list)
{
	struct sim_event *pairs = NULL;
	while (list) {
		struct sim_event *a = cut_first(&list);
		struct sim_event *b = cut_first(&list);
		struct sim_event *pair = join(a, b);
		pair->sibling = pairs;
		pairs = pair;
	}
	struct sim_event *root = NULL;
	while (pairs) {
		root = join(root, cut_first(&pairs));
	}
	return root;
}

void sim_event_cancel(struct sim_event *event)
{
	if (!event->planned) {
		return;
	}
	struct sim_event **root = &event->loop->events;
	struct sim_event *children = join_list(event->child);
	if (*root == event) {
		*root = children;
	} else {
		if (event->before->child == event) {
			event->before->child = event->sibling;
		} else {
			event->before->sibling = event->sibling;
		}
		if (event->sibling) {
			event->sibling->before = event->before;
		}
		*root = join(*root, children);
	}
	event->child = NULL;
	event->sibling = NULL;
	event->before = NULL;
	event->planned = false;
}

void sim_event_plan(struct sim_event *event, int64_t due_us)
{
	struct sim *sim = event->loop->sim;
	sim_event_cancel(event);
	event->planned = true;
	event->due_us = due_us;
	event->tie = sim_mix(&sim->random);
	event->order = sim->order++;
	event->loop->events = join(event->loop->events, event);
}
