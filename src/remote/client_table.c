/*
 * The subscriptions of a client. Each stands in one list, that of its state, and moves through them
 * on each connection anew; so requests wait where they are known anyway, and a connection that is
 * lost costs one walk. At most one request is under way for an id: one that is taken back before
 * its answer is unsubscribed behind that, and one that is asked for anew meanwhile follows then.
 */
#include "client_priv.h"

#include <stdio.h>
#include <string.h>

/* Of one bulk: the server takes it in slices, and what follows it waits. */
#define BULK_REQUESTS_MAX 1000
#define BULK_BYTES_MAX (1U << 20)
/* Less room than this is not worth a bulk: it comes with the next one. */
#define BULK_BYTES_LEAST 16384
/* Around a request in a bulk. */
#define BULK_REQUEST_MORE 16

/* What is sent is ours, and has been bounded where it was made. */
static const struct wire_limits no_limits = {UINT32_MAX, UINT32_MAX, UINT32_MAX};

/* ---- lists ----------------------------------------------------------------------------------- */

static void links_init(struct links *head)
{
	head->next = head;
	head->previous = head;
}

static void links_remove(struct links *links)
{
	links->previous->next = links->next;
	links->next->previous = links->previous;
}

static void links_append(struct links *head, struct links *links)
{
	links->previous = head->previous;
	links->next = head;
	head->previous->next = links;
	head->previous = links;
}

/* NULL: it is empty. */
static struct subscription *first_of(const struct links *head)
{
	return head->next == head ? NULL : (struct subscription *)head->next;
}

static uint64_t hash_id(const void *key, uint64_t seed)
{
	return bytes_hash(*(const struct bytes *)key, seed);
}

static uint64_t hash_subscription(const void *item, uint64_t seed)
{
	return bytes_hash(((const struct subscription *)item)->id, seed);
}

static bool id_is(const void *item, const void *key)
{
	return bytes_equal(((const struct subscription *)item)->id, *(const struct bytes *)key);
}

static const struct map_type id_type = {hash_id, hash_subscription, id_is};

/* ---- a subscription's life ------------------------------------------------------------------- */

static void move_to(struct remote_client *client, struct subscription *subscription,
	enum subscription_state state)
{
	struct links *const heads[] = {[SUBSCRIPTION_UNSENT] = &client->unsent,
		[SUBSCRIPTION_ASKED] = &client->asked,
		[SUBSCRIPTION_LIVE] = &client->live,
		[SUBSCRIPTION_LEAVING] = &client->leaving};
	links_remove(&subscription->links);
	links_append(heads[state], &subscription->links);
	subscription->state = state;
}

/* It has been sent, or will not be. */
static void stop_waiting(struct remote_client *client, struct subscription *subscription)
{
	if (subscription->is_waiting) {
		subscription->is_waiting = false;
		client->waiting_bytes -= subscription->message.size;
	}
}

/* The server has said what it thinks of it, or will not be asked. */
static void confirm(struct remote_client *client, const struct subscription *subscription)
{
	if (subscription->is_told) {
		client->unconfirmed--;
	}
}

static void drop_again(struct remote_client *client, struct subscription *subscription)
{
	client->waiting_bytes -= subscription->again.size;
	mem_free((char *)subscription->again.data);
	subscription->again = (struct bytes){0};
}

static void forget(struct remote_client *client, struct subscription *subscription)
{
	stop_waiting(client, subscription);
	drop_again(client, subscription);
	links_remove(&subscription->links);
	(void)map_remove(&client->subscriptions, subscription);
	mem_free((char *)subscription->message.data);
	mem_free(subscription);
}

/* The old one is gone; what was asked for under its id since then has its turn. */
static void let_go(struct remote_client *client, struct subscription *subscription)
{
	if (subscription->again.size == 0) {
		forget(client, subscription);
		return;
	}
	stop_waiting(client, subscription);
	mem_free((char *)subscription->message.data);
	subscription->message = subscription->again;
	subscription->again = (struct bytes){0};
	subscription->is_waiting = true;
	subscription->is_told = false;
	subscription->is_unwanted = false;
	move_to(client, subscription, SUBSCRIPTION_UNSENT);
}

static enum err push_answer(struct remote_client *client, const struct model_answer *answer)
{
	return stream_push_answer(client->stream, answer, loop_now_us(client->loop));
}

static enum err accept(struct remote_client *client, struct subscription *subscription,
	const struct model_answer *answer)
{
	if (subscription->is_unwanted) {
		confirm(client, subscription);
		move_to(client, subscription, SUBSCRIPTION_LEAVING);
		return OK;
	}
	if (!subscription->is_told) {
		enum err err = push_answer(client, answer);
		if (err != OK) {
			return err;
		}
		subscription->is_told = true;
		client->unconfirmed++;
	}
	confirm(client, subscription);
	client->has_begun = true;
	move_to(client, subscription, SUBSCRIPTION_LIVE);
	return OK;
}

static enum err refuse(struct remote_client *client, struct subscription *subscription,
	const struct model_answer *answer)
{
	enum err err = subscription->is_unwanted ? OK : push_answer(client, answer);
	if (err == OK) {
		confirm(client, subscription);
		let_go(client, subscription);
	}
	return err;
}

/* ---- what the consumer asks ------------------------------------------------------------------ */

static enum err copy(struct bytes bytes, struct bytes *ret_copy)
{
	char *place = mem_alloc(bytes.size);
	if (!place) {
		return ERR_MEMORY;
	}
	memcpy(place, bytes.data, bytes.size);
	*ret_copy = (struct bytes){place, bytes.size};
	return OK;
}

static enum err add(struct remote_client *client, struct bytes id, struct bytes message)
{
	struct subscription *subscription = mem_calloc(1, sizeof(*subscription) + id.size);
	if (!subscription) {
		return ERR_MEMORY;
	}
	char *place = (char *)(subscription + 1);
	memcpy(place, id.data, id.size);
	subscription->id = (struct bytes){place, id.size};
	enum err err = copy(message, &subscription->message);
	if (err == OK) {
		err = map_insert(&client->subscriptions, subscription);
	}
	if (err != OK) {
		mem_free((char *)subscription->message.data);
		mem_free(subscription);
		return err;
	}
	subscription->is_waiting = true;
	links_append(&client->unsent, &subscription->links);
	return OK;
}

enum err client_subscribe(struct remote_client *client, struct bytes id, struct bytes message)
{
	struct subscription *old = map_find(&client->subscriptions, &id);
	bool is_leaving = old && (old->state == SUBSCRIPTION_LEAVING || old->is_unwanted);
	struct model_answer answer = {.id = id};
	if (old && (!is_leaving || old->again.size > 0)) {
		answer.refusal = MODEL_REFUSED_DUPLICATE;
		answer.text = bytes_of("subscription ID already exists");
		return push_answer(client, &answer);
	}
	if (client->waiting_bytes + message.size > client->options.waiting_bytes_max) {
		answer.refusal = MODEL_REFUSED_LIMIT;
		answer.text = bytes_of("too many requests wait to be sent");
		answer.hint = bytes_of("wait for answers, or for the connection");
		return push_answer(client, &answer);
	}
	enum err err = old ? copy(message, &old->again) : add(client, id, message);
	if (err == OK) {
		client->waiting_bytes += message.size;
	}
	return err;
}

void client_unsubscribe(struct remote_client *client, struct bytes id)
{
	struct subscription *subscription = map_find(&client->subscriptions, &id);
	if (!subscription) {
		return;
	}
	if (subscription->again.size > 0) {
		drop_again(client, subscription);
		return;
	}
	switch (subscription->state) {
	case SUBSCRIPTION_UNSENT:
		confirm(client, subscription);
		forget(client, subscription);
		break;
	case SUBSCRIPTION_ASKED:
		subscription->is_unwanted = true;
		break;
	case SUBSCRIPTION_LIVE:
		move_to(client, subscription, SUBSCRIPTION_LEAVING);
		break;
	case SUBSCRIPTION_LEAVING:
		break;
	}
}

/* ---- what the server answers ----------------------------------------------------------------- */

enum err client_answered(struct remote_client *client, const struct model_answer *answer)
{
	struct subscription *subscription = map_find(&client->subscriptions, &answer->id);
	if (!subscription || subscription->state != SUBSCRIPTION_ASKED) {
		return OK;
	}
	return answer->refusal == MODEL_ACCEPTED ? accept(client, subscription, answer)
						 : refuse(client, subscription, answer);
}

/* Those that have not been refused have been accepted. Bulks are answered in their order. */
static enum err accept_rest(struct remote_client *client, uint64_t bulk)
{
	struct links *next = NULL;
	for (struct links *links = client->asked.next; links != &client->asked; links = next) {
		struct subscription *subscription = (struct subscription *)links;
		const struct model_answer answer = {.id = subscription->id};
		next = links->next;
		if (subscription->bulk > bulk) {
			break;
		}
		enum err err =
			subscription->bulk == bulk ? accept(client, subscription, &answer) : OK;
		if (err != OK) {
			return err;
		}
	}
	return OK;
}

enum err client_bulk_answered(
	struct remote_client *client, const struct model_bulk_answer *bulk_answer)
{
	struct bytes rest = bulk_answer->refused;
	struct model_answer answer;
	enum err err = OK;
	while (err == OK) {
		err = wire_bulk_refused_next(&rest, &answer);
		if (err == OK) {
			err = client_answered(client, &answer);
		}
	}
	if (err != ERR_EMPTY) {
		return err;
	}
	return bulk_answer->id > 0 ? accept_rest(client, bulk_answer->id) : OK;
}

/* ---- sending --------------------------------------------------------------------------------- */

static enum err send_encoded(struct remote_client *client, enum err err)
{
	return err == OK ? grpc_call_send(client->call, buffer_bytes(&client->encoded)) : err;
}

static enum err send_leaving(struct remote_client *client)
{
	struct subscription *subscription = NULL;
	enum err err = OK;
	while (err == OK && (subscription = first_of(&client->leaving)) != NULL) {
		client->encoded.size = 0;
		err = send_encoded(
			client, wire_unsubscribe_encode(&client->encoded, subscription->id));
		if (err == OK) {
			let_go(client, subscription);
		}
	}
	return err;
}

static enum err read_request(struct remote_client *client, const struct subscription *subscription,
	struct model_subscription *ret_request)
{
	struct wire_gateway_message parsed;
	struct err_info refusal;
	arena_reset(&client->sending);
	enum err err = wire_gateway_message_parse(
		subscription->message, &no_limits, &client->sending, &parsed, &refusal);
	if (err == OK) {
		*ret_request = parsed.subscription;
	}
	return err;
}

/* What this server cannot be asked is refused in its place. */
static enum err send_one(struct remote_client *client, struct subscription *subscription)
{
	char text[96];
	struct model_answer answer = {.id = subscription->id};
	struct model_subscription request;
	enum err err = read_request(client, subscription, &request);
	if (err != OK) {
		return err;
	}
	if (subscription->message.size > client->peer_bytes_max) {
		(void)snprintf(text, sizeof(text),
			"the request has %zu bytes; this Streamer takes at most %u",
			subscription->message.size, client->peer_bytes_max);
		answer.refusal = MODEL_REFUSED_LIMIT;
		answer.text = bytes_of(text);
		return refuse(client, subscription, &answer);
	}
	if (request.expression.size > 0 && client->server == SERVER_ORIGINAL) {
		answer.refusal = MODEL_REFUSED_EXPRESSION;
		answer.text = bytes_of("this Streamer does not know expressions");
		answer.hint = bytes_of("use filters");
		return refuse(client, subscription, &answer);
	}
	err = grpc_call_send(client->call, subscription->message);
	if (err == OK) {
		stop_waiting(client, subscription);
		subscription->bulk = 0;
		move_to(client, subscription, SUBSCRIPTION_ASKED);
	}
	return err;
}

/* As many requests from the front as fit. */
static enum err gather(struct remote_client *client, size_t most, size_t *ret_count)
{
	size_t count = 0;
	client->requests.size = 0;
	for (const struct links *links = client->unsent.next;
		links != &client->unsent && count < BULK_REQUESTS_MAX; links = links->next) {
		const struct subscription *subscription = (const struct subscription *)links;
		struct model_subscription request;
		if (client->requests.size + subscription->message.size + BULK_REQUEST_MORE > most) {
			break;
		}
		enum err err = read_request(client, subscription, &request);
		if (err == OK) {
			err = wire_bulk_append(&client->requests, &request);
		}
		if (err != OK) {
			return err;
		}
		count++;
	}
	*ret_count = count;
	return OK;
}

static enum err send_bulk(struct remote_client *client)
{
	size_t room = grpc_call_room(client->call);
	size_t most = client->peer_bytes_max / 2;
	size_t count = 0;
	if (room < BULK_BYTES_LEAST && grpc_call_unsent(client->call) > 0) {
		return ERR_FULL;
	}
	most = most < BULK_BYTES_MAX ? most : BULK_BYTES_MAX;
	enum err err = gather(client, room < most ? room : most, &count);
	if (err != OK) {
		return err;
	}
	if (count < 2) {
		return send_one(client, first_of(&client->unsent));
	}
	const struct model_bulk bulk = {
		.id = client->bulks + 1, .requests = buffer_bytes(&client->requests)};
	client->encoded.size = 0;
	err = send_encoded(client, wire_bulk_encode(&client->encoded, &bulk));
	if (err != OK) {
		return err;
	}
	client->bulks++;
	for (size_t i = 0; i < count; i++) {
		struct subscription *subscription = first_of(&client->unsent);
		stop_waiting(client, subscription);
		subscription->bulk = client->bulks;
		move_to(client, subscription, SUBSCRIPTION_ASKED);
	}
	return OK;
}

static enum err tell_registered(struct remote_client *client)
{
	enum err err = client_send_heartbeat(client, true);
	client->has_registered = err == OK;
	return err;
}

/* Behind it nothing is missing that came after everything was asked for again. */
static enum err push_owed_gap(struct remote_client *client)
{
	const struct model_gap gap = {
		.until = {client->position, client->position_size}, .reason = MODEL_GAP_UNKNOWN};
	enum err err = stream_push_gap(client->stream, &gap, loop_now_us(client->loop));
	client->owes_gap = err != OK;
	return err;
}

/* Unsubscribes go first: the server's limits may have no room without them. */
static enum err send_all(struct remote_client *client)
{
	struct subscription *subscription = NULL;
	enum err err = send_leaving(client);
	while (err == OK && (subscription = first_of(&client->unsent)) != NULL) {
		bool is_last = subscription->links.next == &client->unsent;
		err = is_last || client->server == SERVER_ORIGINAL ? send_one(client, subscription)
								   : send_bulk(client);
	}
	if (err == OK && client->may_replay && client->server == SERVER_EXTENDED &&
		!client->has_registered) {
		err = tell_registered(client);
	}
	if (err == OK && client->owes_gap && client->may_replay && client->unconfirmed == 0) {
		err = push_owed_gap(client);
	}
	return err;
}

void client_send(void *ctx)
{
	struct remote_client *client = ctx;
	if (!client->call || client->server == SERVER_UNKNOWN) {
		return;
	}
	enum err err = send_all(client);
	if (err != OK && err != ERR_FULL && err != ERR_CLOSED) {
		client_break_off(client, "a request could not be sent");
	}
}

/* ---- beginning and end ----------------------------------------------------------------------- */

void client_table_init(struct remote_client *client)
{
	map_init(&client->subscriptions, &id_type, loop_random(client->loop));
	links_init(&client->unsent);
	links_init(&client->asked);
	links_init(&client->live);
	links_init(&client->leaving);
}

void client_table_fini(struct remote_client *client)
{
	struct links *const heads[] = {
		&client->unsent, &client->asked, &client->live, &client->leaving};
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct subscription *subscription = NULL;
		while ((subscription = first_of(heads[i])) != NULL) {
			forget(client, subscription);
		}
	}
	map_fini(&client->subscriptions);
}

static void restart_one(struct remote_client *client, struct subscription *subscription)
{
	if (subscription->is_unwanted || subscription->state == SUBSCRIPTION_LEAVING) {
		let_go(client, subscription);
		return;
	}
	client->unconfirmed += subscription->is_told;
	move_to(client, subscription, SUBSCRIPTION_UNSENT);
}

void client_table_restart(struct remote_client *client)
{
	struct links *const heads[] = {&client->live, &client->asked, &client->leaving};
	struct subscription *subscription = NULL;
	client->unconfirmed = 0;
	while ((subscription = first_of(&client->unsent)) != NULL) {
		links_remove(&subscription->links); /* from where the walk brings it back */
		links_append(&client->asked, &subscription->links);
	}
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		while ((subscription = first_of(heads[i])) != NULL) {
			restart_one(client, subscription);
		}
	}
}
