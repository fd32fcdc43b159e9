/* The gateway's side of the protocol; what comes goes to its account. */
#include "comeback.h"

#include <stdlib.h>

#define REST_SECONDS_MAX 300
#define REST_CHANGES 10
#define REST_MORE 50

static void open_stream(struct comeback *comeback);

static struct bytes own_position(const struct comeback *comeback)
{
	return (struct bytes){comeback->position, comeback->position_size};
}

static void keep_position(struct comeback *comeback, struct bytes position)
{
	if (position.size > 0) {
		assert_int_equal(position.size, sizeof(comeback->position));
		memcpy(comeback->position, position.data, position.size);
		comeback->position_size = position.size;
	}
}

static uint64_t bit_of(unsigned id)
{
	return UINT64_C(1) << id;
}

/* ---- what goes ------------------------------------------------------------------------------- */

/* What the call has no room for is lost, and with it the stream. */
static void send(struct comeback *comeback, struct buffer *message)
{
	if (comeback->call && !comeback->is_half_closed &&
		grpc_call_send(comeback->call, buffer_bytes(message)) == ERR_FULL) {
		grpc_call_cancel(comeback->call, GRPC_CANCELLED, "full");
	}
	buffer_fini(message);
}

static void say_hello(struct comeback *comeback)
{
	struct buffer message = {0};
	const struct model_hello hello = {.version = 1,
		.gateway_id = bytes_of(comeback->name),
		.after = own_position(comeback)};
	assert_int_equal(wire_hello_encode(&message, &hello), OK);
	send(comeback, &message);
}

static void say_heartbeat(struct comeback *comeback, bool registered)
{
	struct buffer message = {0};
	struct model_heartbeat heartbeat = {
		.gateway_id = bytes_of(comeback->name), .timestamp_ms = 1};
	if (!comeback->habits.is_original) {
		heartbeat.position = own_position(comeback);
		heartbeat.registered = registered;
	}
	comeback->has_said_registered = comeback->has_said_registered || registered;
	assert_int_equal(wire_heartbeat_encode(&message, &heartbeat), OK);
	send(comeback, &message);
}

static void ask_one(struct comeback *comeback, unsigned id)
{
	struct buffer message = {0};
	ask_encode(&message, id, &comeback->asks[id], wire_subscribe_encode);
	send(comeback, &message);
	comeback->asked |= bit_of(id);
}

/* The bulk's id is made of the ids in it: so the answer tells which they are. */
static void ask_bulk(struct comeback *comeback, uint64_t ids)
{
	struct buffer requests = {0};
	struct buffer message = {0};
	for (unsigned id = 0; id < IDS_MAX; id++) {
		if (ids & bit_of(id)) {
			ask_encode(&requests, id, &comeback->asks[id], wire_bulk_append);
		}
	}
	const struct model_bulk bulk = {.id = ids, .requests = buffer_bytes(&requests)};
	assert_int_equal(wire_bulk_encode(&message, &bulk), OK);
	buffer_fini(&requests);
	send(comeback, &message);
	comeback->asked |= ids;
}

static void ask_all(struct comeback *comeback)
{
	uint64_t bulk = 0;
	unsigned count = 0;
	for (unsigned id = 0; id < IDS_MAX; id++) {
		if (!(comeback->wanted & bit_of(id))) {
			continue;
		}
		if (comeback->habits.bulk == 0 || comeback->habits.is_original) {
			ask_one(comeback, id);
			continue;
		}
		bulk |= bit_of(id);
		if (++count % comeback->habits.bulk == 0) {
			ask_bulk(comeback, bulk);
			bulk = 0;
		}
	}
	if (bulk != 0) {
		ask_bulk(comeback, bulk);
	}
	comeback->has_asked = true;
	if (comeback->habits.is_eager) {
		say_heartbeat(comeback, true);
	}
}

void comeback_subscribe(struct comeback *comeback, struct ask ask)
{
	if (comeback->asks_count == IDS_MAX) {
		return;
	}
	unsigned id = comeback->asks_count++;
	comeback->asks[id] = ask;
	comeback->wanted |= bit_of(id);
	if (comeback->has_asked) {
		ask_one(comeback, id);
	}
}

void comeback_unsubscribe(struct comeback *comeback, unsigned id)
{
	char text[16];
	struct buffer message = {0};
	(void)snprintf(text, sizeof(text), "s%u-", id);
	comeback->wanted &= ~bit_of(id);
	account_drop(&comeback->account, id);
	if (comeback->has_asked) {
		assert_int_equal(wire_unsubscribe_encode(&message, bytes_of(text)), OK);
		send(comeback, &message);
	}
}

/* ---- what comes ------------------------------------------------------------------------------ */

/* Once all that is wanted is answered. */
static void look_whether_all_is_registered(struct comeback *comeback)
{
	uint64_t missing = comeback->wanted & ~comeback->account.answered;
	if (comeback->has_asked && missing == 0 && !comeback->has_said_registered &&
		!comeback->habits.never_registers && !comeback->habits.is_original) {
		say_heartbeat(comeback, true);
	}
}

static void take_answer(struct comeback *comeback, unsigned id, struct bytes live_after)
{
	if (comeback->wanted & bit_of(id)) {
		account_answer(&comeback->account, id, live_after);
	} else { /* taken back meanwhile */
		comeback->account.answered |= bit_of(id);
	}
}

static void take_bulk_answer(struct comeback *comeback, const struct model_bulk_answer *answer)
{
	uint32_t count = 0;
	for (unsigned id = 0; id < IDS_MAX; id++) {
		if (answer->id & bit_of(id)) {
			count++;
			take_answer(comeback, id, answer->live_after);
		}
	}
	if (answer->accepted != count) {
		account_fail(&comeback->account, "%u of a bulk of %u are accepted",
			(unsigned)answer->accepted, (unsigned)count);
	}
}

static uint64_t ids_of(struct comeback *comeback, struct bytes run)
{
	uint64_t ids = 0;
	struct bytes id;
	while (wire_id_next(&run, &id)) {
		if (ids & bit_of(ask_id(id))) {
			account_fail(&comeback->account, "an id comes twice");
		}
		ids |= bit_of(ask_id(id));
	}
	return ids;
}

static void take_event(
	struct comeback *comeback, struct bytes event, struct bytes run, struct model_mark mark)
{
	struct model_delivery delivery;
	assert_int_equal(wire_delivery_parse(event, &delivery), OK);
	bool is_held = comeback->position_size > 0 && !comeback->habits.is_original;
	if (is_held && !comeback->account.has_lapsed && !comeback->has_said_registered) {
		account_fail(&comeback->account, "a delivery comes before all is registered");
	}
	account_delivery(&comeback->account, source_number(delivery.event_id),
		ids_of(comeback, run), delivery.document.size > 0, &mark);
	keep_position(comeback, mark.position);
}

static void take_gap(struct comeback *comeback, const struct model_gap *gap)
{
	if (comeback->habits.is_original) {
		account_fail(&comeback->account, "a gap is told, which it cannot read");
	}
	if (gap->reason == MODEL_GAP_TOO_LARGE) {
		take_event(comeback, gap->event, gap->run,
			(struct model_mark){.position = gap->until, .more = gap->until.size == 0});
		return;
	}
	comeback->has_gap_ahead = false;
	account_gap(&comeback->account, gap);
	keep_position(comeback, gap->until);
}

static void take_welcome(struct comeback *comeback, const struct model_welcome *welcome)
{
	bool has_position = comeback->position_size > 0;
	comeback->is_welcome = true;
	comeback->resumed += welcome->resume == MODEL_RESUME_REPLAY;
	comeback->welcome_gaps += welcome->resume == MODEL_RESUME_GAP;
	comeback->has_gap_ahead = welcome->resume == MODEL_RESUME_GAP;
	if (has_position == (welcome->resume == MODEL_RESUME_LIVE)) {
		account_fail(&comeback->account, "it is welcomed as another");
	}
	if (welcome->resume == MODEL_RESUME_LIVE) {
		keep_position(comeback, welcome->position);
		comeback->has_said_registered = true; /* nothing waits for that */
	}
	if (!comeback->has_asked) {
		ask_all(comeback);
	}
}

static void take_ack(struct comeback *comeback, const struct model_heartbeat_ack *ack)
{
	if (comeback->habits.is_original || !comeback->is_welcome) {
		return;
	}
	comeback->claimed = account_claim(&comeback->account, ack->position);
	if (comeback->habits.trusts_acks && !comeback->has_gap_ahead) {
		keep_position(comeback, ack->position);
	}
}

static void take(struct comeback *comeback, const struct wire_streamer_message *message)
{
	switch (message->kind) {
	case WIRE_STREAMER_DELIVERY:
		take_event(comeback, message->event, message->run, message->mark);
		return;
	case WIRE_STREAMER_HEARTBEAT_ACK:
		take_ack(comeback, &message->ack);
		return;
	case WIRE_STREAMER_ANSWER:
		if (message->answer.refusal != MODEL_ACCEPTED) {
			account_fail(&comeback->account, "refused: %.*s",
				BYTES_FORMAT(message->answer.text));
		}
		take_answer(comeback, ask_id(message->answer.id), message->answer.live_after);
		return;
	case WIRE_STREAMER_WELCOME:
		take_welcome(comeback, &message->welcome);
		return;
	case WIRE_STREAMER_GAP:
		take_gap(comeback, &message->gap);
		return;
	case WIRE_STREAMER_BULK_ANSWER:
		take_bulk_answer(comeback, &message->bulk_answer);
		return;
	case WIRE_STREAMER_UNSUBSCRIBED:
	case WIRE_STREAMER_GOING_AWAY:
		return;
	case WIRE_STREAMER_NOTICE:
	case WIRE_STREAMER_NOTHING:
		account_fail(&comeback->account, "a message that nobody has asked for");
	}
}

static void on_message(void *ctx, struct bytes bytes)
{
	struct comeback *comeback = ctx;
	struct wire_streamer_message message;
	struct arena arena = {0};
	int64_t lease_us = (int64_t)comeback->world->options.lease_ms * MS;
	comeback->account.has_lapsed =
		loop_now_us(comeback->loop) - comeback->opened_us >= lease_us;
	assert_int_equal(wire_streamer_message_parse(bytes, &arena, &message), OK);
	take(comeback, &message);
	arena_fini(&arena);
	look_whether_all_is_registered(comeback);
}

/* ---- streams --------------------------------------------------------------------------------- */

static void come_again(struct comeback *comeback)
{
	uint64_t away_us = (uint64_t)comeback->habits.away_us;
	loop_timer_start(
		comeback->again, 1 + (int64_t)test_random_below(&comeback->world->random, away_us));
}

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct comeback *comeback = ctx;
	comeback->call = NULL;
	comeback->has_asked = false;
	comeback->ends[status]++;
	account_trace(
		&comeback->account, "ended %s: %.*s", grpc_status_name(status), BYTES_FORMAT(text));
	if (status == GRPC_INVALID_ARGUMENT || status == GRPC_INTERNAL || status == GRPC_UNKNOWN) {
		account_fail(&comeback->account, "a stream ends %s: %.*s", grpc_status_name(status),
			BYTES_FORMAT(text));
	}
	come_again(comeback);
}

static void on_opened(void *ctx)
{
	(void)ctx;
}

static void on_closed(void *ctx, enum err why)
{
	struct comeback *comeback = ctx;
	(void)why;
	comeback->client = NULL;
	come_again(comeback);
}

static void on_again(void *ctx)
{
	struct comeback *comeback = ctx;
	if (comeback->client) {
		grpc_client_close(comeback->client);
	} else {
		open_stream(comeback);
	}
}

static void on_beat(void *ctx)
{
	struct comeback *comeback = ctx;
	if (!comeback->is_silent) {
		say_heartbeat(comeback, false);
	}
	loop_timer_start(comeback->beat, comeback->habits.beat_us);
}

static void open_stream(struct comeback *comeback)
{
	static const struct grpc_client_events client_events = {on_opened, on_closed};
	static const struct grpc_call_events call_events = {
		.message = on_message, .ended = on_ended};
	const struct grpc_options options = {.message_bytes_max = 4 << 20, .window_bytes = 65536};
	const struct habits *habits = &comeback->habits;
	assert_int_equal(grpc_client_open(comeback->loop, ENGINE_ADDRESS, &options, &client_events,
				 comeback, &comeback->client),
		OK);
	assert_int_equal(grpc_client_call(comeback->client, WIRE_STREAMER_STREAM, 0, &call_events,
				 comeback, &comeback->call),
		OK);
	if (comeback->forgets) {
		comeback->forgets = false;
		comeback->position_size = 0;
		comeback->older_size = 0;
	}
	comeback->opened_us = loop_now_us(comeback->loop);
	comeback->asked = 0;
	comeback->has_asked = false;
	comeback->has_said_registered = false;
	comeback->is_welcome = false;
	comeback->has_gap_ahead = false;
	comeback->is_half_closed = false;
	comeback->is_silent = false;
	comeback->claimed = 0;
	comeback->streams++;
	account_open(&comeback->account, own_position(comeback));
	if (!habits->is_original) {
		say_hello(comeback);
		say_heartbeat(comeback, false);
	}
	if (habits->is_original || !habits->waits) {
		ask_all(comeback);
	}
}

/* ---- what is done to it ---------------------------------------------------------------------- */

void comeback_open(struct comeback *comeback, struct world *world, const struct habits *habits,
	const char *name)
{
	*comeback = (struct comeback){.world = world, .habits = *habits};
	(void)snprintf(comeback->name, sizeof(comeback->name), "%s", name);
	comeback->account = (struct account){.world = world,
		.name = comeback->name,
		.asks = comeback->asks,
		.is_original = habits->is_original};
	assert_int_equal(sim_loop_new(world->sim, &comeback->loop), OK);
	assert_int_equal(loop_timer_new(comeback->loop, on_again, comeback, &comeback->again), OK);
	assert_int_equal(loop_timer_new(comeback->loop, on_beat, comeback, &comeback->beat), OK);
	loop_timer_start(comeback->again, 1);
	loop_timer_start(comeback->beat, habits->beat_us);
}

void comeback_free(struct comeback *comeback)
{
	loop_free(comeback->loop); /* and its timers */
	account_fini(&comeback->account);
}

void comeback_forget(struct comeback *comeback)
{
	comeback->forgets = true;
	comeback_close(comeback);
}

void comeback_remember(struct comeback *comeback)
{
	memcpy(comeback->older, comeback->position, sizeof(comeback->older));
	comeback->older_size = comeback->position_size;
}

void comeback_go_back(struct comeback *comeback)
{
	memcpy(comeback->position, comeback->older, sizeof(comeback->position));
	comeback->position_size = comeback->older_size;
	comeback_cut(comeback, false);
}

void comeback_cut(struct comeback *comeback, bool arrives)
{
	sim_kill(comeback->loop, arrives);
}

void comeback_close(struct comeback *comeback)
{
	if (comeback->client) {
		grpc_client_close(comeback->client);
	}
}

void comeback_half_close(struct comeback *comeback)
{
	if (comeback->call && !comeback->is_half_closed) {
		comeback->is_half_closed = true;
		grpc_call_finish(comeback->call, GRPC_OK, NULL);
	}
}

void comeback_pause(struct comeback *comeback, bool paused)
{
	if (comeback->call) {
		grpc_call_pause(comeback->call, paused);
	}
}

static bool rests(struct comeback *comeback)
{
	uint64_t count = comeback->world->source.count;
	if (!comeback->call || !comeback->has_asked ||
		(comeback->wanted & ~comeback->account.answered) != 0) {
		return false;
	}
	if (comeback->habits.is_original) {
		account_settle(&comeback->account, count, "at rest, at");
		return true;
	}
	return comeback->claimed == count && !comeback->has_gap_ahead;
}

static struct comeback *who_moves(struct comeback *comebacks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!rests(&comebacks[i])) {
			return &comebacks[i];
		}
	}
	return NULL;
}

void comebacks_rest(struct comeback *comebacks, size_t count)
{
	struct world *world = comebacks[0].world;
	for (int i = 0; i < REST_SECONDS_MAX; i++) {
		/* What is new from when it is asked for may come late. */
		source_emit(world, i < REST_CHANGES || i % REST_MORE == 0);
		world_run(world, SECOND);
		source_beat(world);
		uint64_t routed = life_after(world_life(world), world_routed(world));
		world_run(world, SECOND); /* what is routed arrives */
		if (i >= REST_CHANGES && routed == world->source.count &&
			!who_moves(comebacks, count)) {
			return;
		}
	}
	struct comeback *mover = who_moves(comebacks, count);
	account_fail(mover ? &mover->account : &comebacks[0].account, "does not come to rest");
}
