/*
 * Schedules by chance: an engine, its Puller and gateways that come back, to whom things happen
 * that end streams, connections and processes, in virtual time. Accounts judge all that comes, and
 * in the end all that had to come. TEST_ROUNDS says how many schedules; each prints its seed, and
 * TEST_SEED begins with it. TEST_TRACE shows what happens.
 */
#include "comeback.h"

#include <stdlib.h>

enum { ROUNDS = 300, GATEWAYS = 4, STEPS_MAX = 40, LIVES_LEFT = 8 };

struct schedule {
	struct world *world;
	struct test_random *random;
	struct comeback gateways[GATEWAYS];
	bool is_quiet;      /* the Puller sends no heartbeats */
	bool is_puller_off; /* nobody listens there */
};

static bool chance(struct schedule *schedule, unsigned percent)
{
	return test_random_below(schedule->random, 100) < percent;
}

static uint64_t between(struct schedule *schedule, uint64_t least, uint64_t most)
{
	return least + test_random_below(schedule->random, most - least + 1);
}

static struct comeback *somebody(struct schedule *schedule)
{
	return &schedule->gateways[test_random_below(schedule->random, GATEWAYS)];
}

/* ---- time ------------------------------------------------------------------------------------ */

/* The Puller sends a heartbeat now and then, unless it is quiet. */
static void run(struct schedule *schedule, int64_t us)
{
	const int64_t beat_us = 5 * SECOND;
	while (us > 0) {
		int64_t step_us = us < beat_us ? us : beat_us;
		world_run(schedule->world, step_us);
		us -= step_us;
		if (!schedule->is_quiet && step_us == beat_us) {
			source_beat(schedule->world);
		}
	}
}

static void pass_ms(struct schedule *schedule, uint64_t least, uint64_t most)
{
	run(schedule, (int64_t)between(schedule, least, most) * MS);
}

/* A moment; longer than the network takes, than a lease, or than a Puller or a history keeps. */
static void pass_some(struct schedule *schedule)
{
	uint64_t kind = test_random_below(schedule->random, 100);
	if (kind < 50) {
		run(schedule, (int64_t)between(schedule, 1, 20 * MS));
	} else if (kind < 85) {
		pass_ms(schedule, 20, 2000);
	} else if (kind < 98) {
		pass_ms(schedule, 2000, 15000);
	} else {
		pass_ms(schedule, 60000, 150000);
	}
}

/* ---- changes, and who wants them ------------------------------------------------------------- */

static void a_few_changes(struct schedule *schedule)
{
	source_emit(schedule->world, between(schedule, 1, 5));
}

static void many_changes(struct schedule *schedule)
{
	source_emit(schedule->world, between(schedule, 30, 200));
}

/* The newest change is behind a marker of its own, too. */
static void a_change_and_a_beat(struct schedule *schedule)
{
	source_emit(schedule->world, 1);
	run(schedule, (int64_t)between(schedule, 1, 10 * MS));
	source_beat(schedule->world);
}

static void a_beat(struct schedule *schedule)
{
	source_beat(schedule->world);
}

static void other_sizes(struct schedule *schedule)
{
	static const size_t pads[] = {0, 0, 2000, 20000};
	schedule->world->source.pad = pads[test_random_below(schedule->random, 4)];
}

/* Some want no document; of the original's kind nobody can say so. */
static void ask_for_something(struct schedule *schedule, struct comeback *comeback)
{
	struct ask ask = ask_random(schedule->world);
	ask.omits = !comeback->habits.is_original && chance(schedule, 30);
	comeback_subscribe(comeback, ask);
}

static void subscribe(struct schedule *schedule)
{
	ask_for_something(schedule, somebody(schedule));
}

static void unsubscribe(struct schedule *schedule)
{
	struct comeback *comeback = somebody(schedule);
	unsigned id = (unsigned)test_random_below(schedule->random, comeback->asks_count);
	if (comeback->wanted >> id & 1) {
		comeback_unsubscribe(comeback, id);
	}
}

/* ---- gateways -------------------------------------------------------------------------------- */

static void gateway_is_cut(struct schedule *schedule)
{
	comeback_cut(somebody(schedule), chance(schedule, 50));
}

static void all_gateways_are_cut(struct schedule *schedule)
{
	for (size_t i = 0; i < GATEWAYS; i++) {
		comeback_cut(&schedule->gateways[i], chance(schedule, 50));
	}
}

static void gateway_closes(struct schedule *schedule)
{
	comeback_close(somebody(schedule));
}

static void gateway_half_closes(struct schedule *schedule)
{
	comeback_half_close(somebody(schedule));
}

static void gateway_reads_nothing(struct schedule *schedule)
{
	comeback_pause(somebody(schedule), true);
}

static void gateway_reads_again(struct schedule *schedule)
{
	comeback_pause(somebody(schedule), false);
}

static void gateway_remembers(struct schedule *schedule)
{
	comeback_remember(somebody(schedule));
}

static void gateway_goes_back(struct schedule *schedule)
{
	struct comeback *comeback = somebody(schedule);
	if (comeback->older_size > 0) {
		comeback_go_back(comeback);
	}
}

static void gateway_forgets(struct schedule *schedule)
{
	comeback_forget(somebody(schedule));
}

/* Until its lease ends its stream. */
static void gateway_says_nothing(struct schedule *schedule)
{
	somebody(schedule)->is_silent = true;
}

static void gateway_stands_still(struct schedule *schedule)
{
	sim_stall(somebody(schedule)->loop, true);
}

static void gateway_goes_on(struct schedule *schedule)
{
	sim_stall(somebody(schedule)->loop, false);
}

/* Its process ends, and does not come back for a while. */
static void gateway_is_away(struct schedule *schedule)
{
	struct comeback *comeback = somebody(schedule);
	comeback_cut(comeback, chance(schedule, 50));
	run(schedule, MS);
	sim_stall(comeback->loop, true);
}

/* ---- the engine ------------------------------------------------------------------------------ */

/* It begins anew, with what is on disk or without. */
static void start_engine(struct schedule *schedule)
{
	if (chance(schedule, 10)) {
		world_forget(schedule->world);
	}
	world_start(schedule->world);
}

static bool has_lives_left(const struct schedule *schedule)
{
	return schedule->world->lives_count < LIVES_LEFT;
}

static void engine_is_killed(struct schedule *schedule)
{
	if (has_lives_left(schedule)) {
		world_kill(schedule->world, chance(schedule, 50));
		start_engine(schedule);
	}
}

static void engine_is_killed_for_a_while(struct schedule *schedule)
{
	if (has_lives_left(schedule)) {
		world_kill(schedule->world, chance(schedule, 50));
		a_few_changes(schedule);
		pass_some(schedule);
		start_engine(schedule);
	}
}

static void engine_is_killed_while_it_recovers(struct schedule *schedule)
{
	engine_is_killed(schedule);
	run(schedule, (int64_t)between(schedule, 1, 30 * MS));
	engine_is_killed(schedule);
}

static void engine_stops(struct schedule *schedule)
{
	struct world *world = schedule->world;
	if (!has_lives_left(schedule)) {
		return;
	}
	for (size_t i = 0; i < world->options.workers; i++) {
		world_stall(world, i, false);
	}
	world_stop(world);
	while (!world_has_stopped(world)) {
		world_run(world, 100 * MS);
	}
	world_bury(world);
	pass_some(schedule);
	start_engine(schedule);
}

static void worker_stands_still(struct schedule *schedule)
{
	struct world *world = schedule->world;
	world_stall(world, test_random_below(schedule->random, world->options.workers), true);
}

static void workers_go_on(struct schedule *schedule)
{
	struct world *world = schedule->world;
	for (size_t i = 0; i < world->options.workers; i++) {
		world_stall(world, i, false);
	}
}

/* ---- the Puller ------------------------------------------------------------------------------ */

static void puller_is_cut(struct schedule *schedule)
{
	sim_kill(schedule->world->source.loop, chance(schedule, 50));
}

static void puller_goes(struct schedule *schedule)
{
	if (!schedule->is_puller_off) {
		schedule->is_puller_off = true;
		source_listen(schedule->world, false);
		puller_is_cut(schedule);
	}
}

static void puller_comes(struct schedule *schedule)
{
	if (schedule->is_puller_off) {
		schedule->is_puller_off = false;
		source_listen(schedule->world, true);
	}
}

static void puller_refuses(struct schedule *schedule)
{
	schedule->world->source.refuses = (unsigned)between(schedule, 1, 2);
	puller_is_cut(schedule);
}

/* What happened while it was away it does not know. */
static void puller_forgets(struct schedule *schedule)
{
	puller_goes(schedule);
	a_few_changes(schedule);
	pass_some(schedule);
	schedule->world->source.kept_from = schedule->world->source.count;
	puller_comes(schedule);
}

/* Not even that something is missing: it was away for longer than it keeps changes. */
static void puller_loses(struct schedule *schedule)
{
	struct world *world = schedule->world;
	puller_goes(schedule);
	a_few_changes(schedule);
	world->source.lost_until = world->source.count;
	run(schedule, world->options.retention_us / 2);
	if (chance(schedule, 30)) {
		engine_is_killed(schedule);
	}
	run(schedule, world->options.retention_us / 2 + 70 * SECOND);
	puller_comes(schedule);
}

static void puller_is_quiet(struct schedule *schedule)
{
	schedule->is_quiet = !schedule->is_quiet;
}

static void puller_stands_still(struct schedule *schedule)
{
	source_stall(schedule->world, true);
}

static void puller_goes_on(struct schedule *schedule)
{
	source_stall(schedule->world, false);
}

/* ---- schedules ------------------------------------------------------------------------------- */

#define HAPPENINGS(X)                                                                              \
	X(a_few_changes, 30)                                                                       \
	X(many_changes, 10)                                                                        \
	X(a_change_and_a_beat, 6)                                                                  \
	X(a_beat, 4)                                                                               \
	X(other_sizes, 2)                                                                          \
	X(subscribe, 8)                                                                            \
	X(unsubscribe, 4)                                                                          \
	X(gateway_is_cut, 10)                                                                      \
	X(all_gateways_are_cut, 3)                                                                 \
	X(gateway_closes, 3)                                                                       \
	X(gateway_half_closes, 3)                                                                  \
	X(gateway_reads_nothing, 4)                                                                \
	X(gateway_reads_again, 4)                                                                  \
	X(gateway_remembers, 4)                                                                    \
	X(gateway_goes_back, 4)                                                                    \
	X(gateway_forgets, 2)                                                                      \
	X(gateway_says_nothing, 2)                                                                 \
	X(gateway_stands_still, 3)                                                                 \
	X(gateway_goes_on, 5)                                                                      \
	X(gateway_is_away, 5)                                                                      \
	X(engine_is_killed, 6)                                                                     \
	X(engine_is_killed_for_a_while, 4)                                                         \
	X(engine_is_killed_while_it_recovers, 3)                                                   \
	X(engine_stops, 3)                                                                         \
	X(worker_stands_still, 3)                                                                  \
	X(workers_go_on, 5)                                                                        \
	X(puller_is_cut, 6)                                                                        \
	X(puller_goes, 2)                                                                          \
	X(puller_comes, 6)                                                                         \
	X(puller_refuses, 2)                                                                       \
	X(puller_forgets, 1)                                                                       \
	X(puller_loses, 1)                                                                         \
	X(puller_is_quiet, 2)                                                                      \
	X(puller_stands_still, 2)                                                                  \
	X(puller_goes_on, 4)

static void happen(struct schedule *schedule)
{
	static const struct {
		const char *name;
		unsigned weight;
		void (*fn)(struct schedule *schedule);
	} happenings[] = {
#define X(name, weight) {#name, weight, name},
		HAPPENINGS(X)
#undef X
	};
	unsigned total = 0;
	for (size_t i = 0; i < sizeof(happenings) / sizeof(happenings[0]); i++) {
		total += happenings[i].weight;
	}
	unsigned left = (unsigned)test_random_below(schedule->random, total);
	size_t which = 0;
	while (left >= happenings[which].weight) {
		left -= happenings[which++].weight;
	}
	struct world *world = schedule->world;
	if (world->log.fd >= 0) {
		(void)fprintf(stderr, "%10lld ---- %s, %llu\n", (long long)sim_now_us(world->sim),
			happenings[which].name, (unsigned long long)world->source.count);
	}
	happenings[which].fn(schedule);
}

static struct engine_options options_of(uint64_t seed)
{
	static const size_t rings[] = {16, 64, 4096};
	struct engine_options options = engine_options();
	struct test_random random = {seed};
	options.seed = seed;
	options.workers = 1 + test_random_below(&random, WORKERS_MAX);
	options.ring_events = rings[test_random_below(&random, 3)];
	if (test_random_below(&random, 3) == 0) {
		options.stream = (struct stream_limits){
			.hard_bytes = 256 << 10, .soft_bytes = 64 << 10, .soft_us = 2 * SECOND};
	}
	options.lease_ms = test_random_below(&random, 2) ? 3000 : 10000;
	options.has_state = test_random_below(&random, 8) > 0;
	options.resume_wait_us = test_random_below(&random, 4) ? 10 * SECOND : SECOND;
	options.retention_us = test_random_below(&random, 2) ? 3600 * SECOND : 150 * SECOND;
	switch (test_random_below(&random, 4)) {
	case 0:
		options.history.events = 1 +
			test_random_below(&random, UINT64_C(1) << test_random_below(&random, 7));
		break;
	case 1:
		options.history.age_us = 20 * SECOND;
		break;
	default:
		break;
	}
	return options;
}

static struct habits habits_of(struct schedule *schedule)
{
	struct habits habits = {.is_original = chance(schedule, 20),
		.waits = chance(schedule, 50),
		.is_eager = chance(schedule, 25),
		.never_registers = chance(schedule, 10),
		.trusts_acks = chance(schedule, 40),
		.beat_us = (int64_t)between(schedule, 100, 900) * MS,
		.away_us = (int64_t)between(schedule, 10, 3000) * MS};
	habits.bulk = chance(schedule, 50) ? 0 : (unsigned)between(schedule, 1, 4);
	return habits;
}

static void open_schedule(struct schedule *schedule, uint64_t seed)
{
	const struct engine_options options = options_of(seed);
	*schedule = (struct schedule){.world = world_open(&options)};
	schedule->random = &schedule->world->random;
	schedule->world->source.begins_now = chance(schedule, 50);
	schedule->world->source.group = between(schedule, 0, 3);
	for (size_t i = 0; i < GATEWAYS; i++) {
		struct comeback *comeback = &schedule->gateways[i];
		const struct habits habits = habits_of(schedule);
		char name[24];
		(void)snprintf(name, sizeof(name), "gateway %zu%s", i,
			habits.is_original ? ", an original" : "");
		comeback_open(comeback, schedule->world, &habits, name);
		for (uint64_t left = between(schedule, 1, 4); left > 0; left--) {
			ask_for_something(schedule, comeback);
		}
	}
}

/* Whatever stood still goes on, and everybody is there. */
static void let_rest(struct schedule *schedule)
{
	puller_goes_on(schedule);
	puller_comes(schedule);
	workers_go_on(schedule);
	for (size_t i = 0; i < GATEWAYS; i++) {
		sim_stall(schedule->gateways[i].loop, false);
		comeback_pause(&schedule->gateways[i], false);
	}
	comebacks_rest(schedule->gateways, GATEWAYS);
}

/* Of all schedules: what they are for must have happened in them. */
struct totals {
	uint64_t lives, streams, resumed, deliveries, replayed, repeats, gaps;
};

static void add_up(struct totals *totals, const struct schedule *schedule)
{
	totals->lives += schedule->world->lives_count;
	for (size_t i = 0; i < GATEWAYS; i++) {
		const struct comeback *gateway = &schedule->gateways[i];
		totals->streams += gateway->streams;
		totals->resumed += gateway->resumed;
		totals->deliveries += gateway->account.deliveries;
		totals->replayed += gateway->account.replayed;
		totals->repeats += gateway->account.repeats;
		totals->gaps += gateway->account.gaps;
	}
}

static void print_totals(const struct totals *totals)
{
	(void)fprintf(stderr,
		"%llu lives, %llu streams (%llu resumed), %llu deliveries (%llu replayed, "
		"%llu once more), %llu gaps\n",
		(unsigned long long)totals->lives, (unsigned long long)totals->streams,
		(unsigned long long)totals->resumed, (unsigned long long)totals->deliveries,
		(unsigned long long)totals->replayed, (unsigned long long)totals->repeats,
		(unsigned long long)totals->gaps);
}

static void run_schedule(uint64_t seed, struct totals *totals)
{
	struct schedule schedule;
	(void)fprintf(stderr, "schedule: TEST_SEED=%llu\n", (unsigned long long)seed);
	open_schedule(&schedule, seed);
	for (uint64_t left = between(&schedule, 5, STEPS_MAX); left > 0; left--) {
		happen(&schedule);
		pass_some(&schedule);
	}
	let_rest(&schedule);
	add_up(totals, &schedule);
	for (size_t i = 0; i < GATEWAYS; i++) {
		comeback_free(&schedule.gateways[i]);
	}
	world_close(schedule.world);
}

static void test_schedules(void **state)
{
	const char *given = getenv("TEST_ROUNDS");
	unsigned long rounds = given ? strtoul(given, NULL, 10) : ROUNDS;
	struct test_random random = test_random_start("schedules");
	struct totals totals = {0};
	(void)state;
	for (unsigned long i = 0; i < rounds; i++) {
		run_schedule(i == 0 ? random.state : test_random_next(&random), &totals);
	}
	print_totals(&totals);
	if (rounds >= ROUNDS) {
		assert_true(totals.lives > rounds && totals.resumed > rounds);
		assert_true(
			totals.replayed > rounds && totals.repeats > 0 && totals.gaps > rounds / 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_schedules)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
