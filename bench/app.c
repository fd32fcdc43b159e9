/*
 * A document is created, edited, buried (a soft delete: its fields are gone, its tombstone stays),
 * revived (created again under its id) and purged (the tombstone goes too). Messages come and are
 * edited for a while; orders go from state to state, and some are cancelled on the way.
 */
#include "app.h"
#include "event.h"

#include <inttypes.h>
#include <stdio.h>

#define MESSAGES_KEPT 4096 /* older ones stay as they are */
#define MESSAGES_TOUCHED 1000
#define ORDERS 1000
#define WATCHED_ORDER 7
#define WATCHED_EVERY 500 /* changes */
#define WATCHED_ROOM "kitchen"
#define BIG_CENTS 90000

enum message_kind { KIND_TEXT, KIND_IMAGE, KIND_SYSTEM };
enum order_state { ORDER_NEW, ORDER_PAID, ORDER_PACKED, ORDER_SHIPPED, ORDER_DELIVERED };

static const char *const kinds[] = {"text", "image", "system"};
static const char *const states[] = {"new", "paid", "packed", "shipped", "delivered"};
static const char *const rooms[] = {WATCHED_ROOM, "general", "random", "garden", "music", "books",
	"bikes", "films", "travel", "cats", "dogs", "chess", "running", "coffee", "photos",
	"recipes", "news", "help", "weather", "jobs", "market", "games", "science", "night shift"};
static const char *const people[] = {"Ada", "Grace", "Linus", "Edsger", "Barbara", "Dennis",
	"Françoise", "Søren", "Yukihiro", "Radia", "Tim", "Margaret", "Łukasz", "Katherine"};
static const char *const openings[] = {"who has moved", "has anybody seen", "I have washed",
	"please give back", "nobody admits to", "we are out of", "I am bringing",
	"somebody has finished", "there is a note on", "let us celebrate"};
static const char *const things[] = {"the blue mug", "the good knife", "the crème brûlée",
	"my umbrella", "the last biscuit", "the oat milk", "the coffee machine",
	"the fern by the window", "the birthday cake", "the 電子レンジ"};
static const char *const goods[] = {"bicycle", "desk lamp", "typewriter", "tent", "accordion",
	"bookshelf", "kettle", "telescope", "rowing boat", "jigsaw puzzle"};
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static const struct streamer_filter room_filters[] = {
	{"room", "==", "\"" WATCHED_ROOM "\""}, {"kind", "==", "\"text\""}};
static const struct streamer_filter shipped_filters[] = {
	{"state", "==", "\"shipped\""}, {"total", ">", "900"}};
static const struct streamer_filter order_filters[] = {{"_id", "==", "\"order-0007\""}};

const struct app_watcher app_watchers[APP_WATCHERS] = {
	{WATCHED_ROOM, "messages: room == \"" WATCHED_ROOM "\" && kind == \"text\"",
		{.id = "kitchen-texts",
			.database = "default",
			.collection = "messages",
			.filters = room_filters,
			.filters_count = 2}},
	{"shipping", "orders: state == \"shipped\" && total > 900",
		{.id = "big-shipped",
			.database = "default",
			.collection = "orders",
			.filters = shipped_filters,
			.filters_count = 2}},
	{"order-0007", "orders: _id == \"order-0007\"",
		{.id = "one-order",
			.database = "default",
			.collection = "orders",
			.filters = order_filters,
			.filters_count = 1}},
};
enum { WATCHER_ROOM, WATCHER_SHIPPED, WATCHER_ORDER };

/* ---- documents ------------------------------------------------------------------------------- */

enum act { ACT_CREATE, ACT_EDIT, ACT_BURY, ACT_REVIVE, ACT_PURGE };

struct life {
	bool exists, is_buried;
	uint32_t version;
	int64_t created_ms;
};

struct message {
	struct life life;
	enum message_kind kind;
	size_t room, author, opening, thing;
};

struct order {
	struct life life;
	enum order_state state;
	size_t customer, good;
	uint32_t cents;
};

struct app {
	uint64_t random;
	struct message messages[MESSAGES_KEPT];
	uint64_t messages_count; /* number n is in place n % MESSAGES_KEPT */
	struct order orders[ORDERS];
	struct buffer data, document, update, store_id;
	_Atomic uint64_t expected[APP_WATCHERS];
};

/* splitmix64 */
static uint64_t below(struct app *app, uint64_t bound)
{
	app->random += 0x9E3779B97F4A7C15U;
	uint64_t mixed = app->random;
	mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
	mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
	return (mixed ^ (mixed >> 31)) % bound;
}

static bool chance(struct app *app, uint64_t percent)
{
	return below(app, 100) < percent;
}

static void apply(struct life *life, enum act act, int64_t now_ms)
{
	life->exists = act != ACT_PURGE;
	life->is_buried = act == ACT_BURY;
	life->version++;
	if (act == ACT_CREATE || act == ACT_REVIVE) {
		life->version = 1;
		life->created_ms = now_ms;
	}
}

static void expect(struct app *app, size_t watcher)
{
	atomic_fetch_add_explicit(&app->expected[watcher], 1, memory_order_relaxed);
}

uint64_t app_expected(const struct app *app, size_t watcher)
{
	return atomic_load_explicit(&app->expected[watcher], memory_order_relaxed);
}

/* ---- changes --------------------------------------------------------------------------------- */

/* What was done to which document; its data stands in app->data. */
struct step {
	enum act act;
	const struct life *life;
	const char *collection, *collection_hash;
	char id[24];
	const char *field; /* that an edit changes, and its new value as JSON */
	char value[96];
};

static enum err put_store_id(struct app *app, const struct step *step)
{
	struct event_identity identity;
	check(event_identity_of(bytes_of(step->collection), bytes_of(step->id), &identity));
	app->store_id.size = 0;
	enum err err = buffer_append_text(&app->store_id, "default:");
	for (size_t i = 0; err == OK && i < sizeof(identity.bytes); i++) {
		err = buffer_printf(&app->store_id, "%02x", identity.bytes[i]);
	}
	return err;
}

static enum err put_document(struct app *app, const struct step *step, int64_t now_ms)
{
	app->document.size = 0;
	if (step->act == ACT_PURGE) {
		return OK;
	}
	return buffer_printf(&app->document,
		"{\"id\":\"%.*s\",\"database\":\"default\",\"collection\":\"%s\","
		"\"collectionHash\":\"%s\",\"updatedAt\":%" PRId64 ",\"createdAt\":%" PRId64
		",\"version\":%" PRIu32 ",\"data\":%.*s%s}",
		BYTES_FORMAT(buffer_bytes(&app->store_id)), step->collection, step->collection_hash,
		now_ms, step->life->created_ms, step->life->version,
		BYTES_FORMAT(step->life->is_buried ? bytes_of("{}") : buffer_bytes(&app->data)),
		step->life->is_buried ? ",\"deleted\":true" : "");
}

static enum err put_update(struct app *app, const struct step *step, int64_t now_ms)
{
	app->update.size = 0;
	if (step->act != ACT_EDIT && step->act != ACT_BURY) {
		return OK;
	}
	enum err err = buffer_append_text(&app->update, "{\"updatedFields\":{");
	if (err == OK && step->act == ACT_EDIT) {
		err = buffer_printf(&app->update, "\"data.%s\":%s", step->field, step->value);
	} else if (err == OK) {
		err = buffer_append_text(&app->update, "\"deleted\":true,\"data\":{}");
	}
	return err != OK ? err
			 : buffer_printf(&app->update,
				   ",\"updated_at\":%" PRId64 ",\"version\":%" PRIu32 "}}", now_ms,
				   step->life->version);
}

static enum err put_change(
	struct app *app, const struct step *step, int64_t now_ms, struct model_change *change)
{
	static const enum model_change_kind kinds_of[] = {
		[ACT_CREATE] = MODEL_CHANGE_INSERT,
		[ACT_EDIT] = MODEL_CHANGE_UPDATE,
		[ACT_BURY] = MODEL_CHANGE_UPDATE,
		[ACT_REVIVE] = MODEL_CHANGE_REPLACE,
		[ACT_PURGE] = MODEL_CHANGE_DELETE,
	};
	enum err err = put_store_id(app, step);
	err = err != OK ? err : put_document(app, step, now_ms);
	err = err != OK ? err : put_update(app, step, now_ms);
	change->kind = kinds_of[step->act];
	change->store_id = buffer_bytes(&app->store_id);
	change->full_document = buffer_bytes(&app->document);
	change->update = buffer_bytes(&app->update);
	if (step->act == ACT_PURGE) {
		change->database = (struct bytes){0}; /* the original does not know it here */
	}
	return err;
}

/* ---- the chat -------------------------------------------------------------------------------- */

static void write_text(struct app *app, struct message *message)
{
	message->opening = (size_t)below(app, COUNT(openings));
	message->thing = (size_t)below(app, COUNT(things));
}

static void write_message(struct app *app, struct message *message)
{
	message->kind = chance(app, 80) ? KIND_TEXT : chance(app, 60) ? KIND_IMAGE : KIND_SYSTEM;
	message->room = (size_t)below(app, COUNT(rooms));
	message->author = (size_t)below(app, COUNT(people));
	write_text(app, message);
}

/* Something happens to a message: what, and to which. */
static enum act choose_message(struct app *app, uint64_t *ret_number)
{
	uint64_t newest = app->messages_count;
	if (newest > 0 && chance(app, 40)) {
		uint64_t back = newest < MESSAGES_TOUCHED ? newest : MESSAGES_TOUCHED;
		uint64_t number = newest - 1 - below(app, back);
		const struct life *life = &app->messages[number % MESSAGES_KEPT].life;
		*ret_number = number;
		if (life->exists && life->is_buried) {
			return chance(app, 70) ? ACT_REVIVE : ACT_PURGE;
		}
		if (life->exists) {
			return chance(app, 60) ? ACT_EDIT : ACT_BURY;
		}
	}
	*ret_number = app->messages_count++;
	return ACT_CREATE;
}

static enum err step_message(struct app *app, int64_t now_ms, struct model_change *change)
{
	uint64_t number = 0;
	enum act act = choose_message(app, &number);
	struct message *message = &app->messages[number % MESSAGES_KEPT];
	struct step step = {.act = act,
		.life = &message->life,
		.collection = "messages",
		.collection_hash = "e76762e01a04c1f2adc7d923dfcf1f02",
		.field = "text"};
	apply(&message->life, act, now_ms);
	if (act == ACT_CREATE) {
		write_message(app, message);
	} else if (act == ACT_EDIT) {
		write_text(app, message);
	}
	if ((act == ACT_CREATE || act == ACT_EDIT || act == ACT_REVIVE) && message->room == 0 &&
		message->kind == KIND_TEXT) {
		expect(app, WATCHER_ROOM);
	}
	(void)snprintf(step.id, sizeof(step.id), "m-%06" PRIu64, number);
	(void)snprintf(step.value, sizeof(step.value), "\"%s %s\"", openings[message->opening],
		things[message->thing]);
	app->data.size = 0;
	enum err err = buffer_printf(&app->data,
		"{\"id\":\"%s\",\"room\":\"%s\",\"kind\":\"%s\",\"author\":\"%s\",\"text\":%s}",
		step.id, rooms[message->room], kinds[message->kind], people[message->author],
		step.value);
	return err != OK ? err : put_change(app, &step, now_ms, change);
}

/* ---- the shop -------------------------------------------------------------------------------- */

/* The watched one is always big: what is done to it reaches two watchers now and then. */
static void place_order(struct app *app, struct order *order, bool is_watched)
{
	uint64_t most = is_watched || chance(app, 10) ? 250000 : 40000;
	order->state = ORDER_NEW;
	order->customer = (size_t)below(app, COUNT(people));
	order->good = (size_t)below(app, COUNT(goods));
	order->cents = (uint32_t)(500 + below(app, most)) + (is_watched ? BIG_CENTS : 0);
}

/* The order's next step in life; the watched one is never cancelled or purged. */
static enum act choose_order(struct app *app, const struct order *order, bool is_watched)
{
	if (!order->life.exists) {
		return ACT_CREATE;
	}
	if (order->life.is_buried) {
		return is_watched || chance(app, 80) ? ACT_REVIVE : ACT_PURGE;
	}
	if (order->state == ORDER_DELIVERED || (!is_watched && chance(app, 8))) {
		return ACT_BURY;
	}
	return ACT_EDIT;
}

static void expect_order(struct app *app, const struct order *order, bool is_watched)
{
	if (order->life.exists && !order->life.is_buried && order->state == ORDER_SHIPPED &&
		order->cents > BIG_CENTS) {
		expect(app, WATCHER_SHIPPED);
	}
	if (is_watched) {
		expect(app, WATCHER_ORDER);
	}
}

static enum err step_order(
	struct app *app, size_t number, int64_t now_ms, struct model_change *change)
{
	struct order *order = &app->orders[number];
	bool is_watched = number == WATCHED_ORDER;
	enum act act = choose_order(app, order, is_watched);
	struct step step = {.act = act,
		.life = &order->life,
		.collection = "orders",
		.collection_hash = "20e5cbe82bb6ca4fd8949d3e06d09a3c",
		.field = "state"};
	apply(&order->life, act, now_ms);
	if (act == ACT_CREATE || act == ACT_REVIVE) {
		place_order(app, order, is_watched);
	} else if (act == ACT_EDIT) {
		order->state++;
	}
	expect_order(app, order, is_watched);
	(void)snprintf(step.id, sizeof(step.id), "order-%04zu", number);
	(void)snprintf(step.value, sizeof(step.value), "\"%s\"", states[order->state]);
	app->data.size = 0;
	enum err err = buffer_printf(&app->data,
		"{\"id\":\"%s\",\"state\":\"%s\",\"total\":%u.%02u,\"customer\":{\"name\":\"%s\"},"
		"\"items\":[\"%s\"]}",
		step.id, states[order->state], order->cents / 100, order->cents % 100,
		people[order->customer], goods[order->good]);
	return err != OK ? err : put_change(app, &step, now_ms, change);
}

/* ---- the application ------------------------------------------------------------------------- */

enum err app_next(void *ctx, uint64_t number, int64_t now_ms, struct model_change *change)
{
	struct app *app = ctx;
	if (number % WATCHED_EVERY == 0) {
		return step_order(app, WATCHED_ORDER, now_ms, change);
	}
	if (chance(app, 55)) {
		return step_message(app, now_ms, change);
	}
	size_t other = (size_t)below(app, ORDERS - 1);
	return step_order(app, other < WATCHED_ORDER ? other : other + 1, now_ms, change);
}

enum err app_new(uint64_t seed, struct app **ret_app)
{
	struct app *app = mem_calloc(1, sizeof(*app));
	if (!app) {
		return ERR_MEMORY;
	}
	app->random = seed;
	*ret_app = app;
	return OK;
}

void app_free(struct app *app)
{
	if (app) {
		buffer_fini(&app->data);
		buffer_fini(&app->document);
		buffer_fini(&app->update);
		buffer_fini(&app->store_id);
		mem_free(app);
	}
}
