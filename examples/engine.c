/*
 * engine: the whole of Streamer inside one program. Changes go in by streamer_push, deliveries come
 * out of a stream; there is no network, and no thread but the library's own.
 *
 *	cc engine.c $(pkg-config --cflags --libs streamer) -o engine && ./engine
 */
#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <streamer.h>
#include <string.h>

/* What happens in the database. The form is that of `streamer puller --file` too. */
static const char *const changes[] = {
	"{\"op\":\"insert\",\"database\":\"shop\",\"collection\":\"orders\",\"id\":\"o1\","
	"\"data\":{\"state\":\"paid\",\"total\":250,\"tags\":[\"gift\"]}}",
	"{\"op\":\"insert\",\"database\":\"shop\",\"collection\":\"orders\",\"id\":\"o2\","
	"\"data\":{\"state\":\"open\",\"total\":12}}",
	"{\"op\":\"insert\",\"database\":\"shop\",\"collection\":\"orders\",\"id\":\"o3\","
	"\"data\":{\"state\":\"sent\",\"total\":40}}",
	"{\"op\":\"delete\",\"database\":\"shop\",\"collection\":\"orders\",\"id\":\"o1\"}",
};

/* Nothing here can go on without what has failed. */
static void must(enum streamer_err err, const struct streamer_failure *failure)
{
	if (err != STREAMER_OK) {
		errx(1, "%s: %s", streamer_err_text(err), failure->text);
	}
}

/* For printf's "%.*s": texts of items have a size and no NUL. */
#define TEXT(b) (int)(b).size, (b).size > 0 ? (b).data : ""

/* One event comes once, with the ids of all subscriptions of this stream that it is for. */
static void print_delivery(const struct streamer_item *item)
{
	(void)printf("%s %.*s/%.*s %.*s for", streamer_operation_name(item->operation),
		TEXT(item->collection), TEXT(item->document_id), TEXT(item->document));
	for (size_t i = 0; i < item->subscription_ids_count; i++) {
		(void)printf(" %.*s", TEXT(item->subscription_ids[i]));
	}
	(void)printf("\n");
}

/* An item is borrowed until the next receive: what is to be kept must be copied here. */
static void take_item(const struct streamer_item *item)
{
	if (item->kind == STREAMER_DELIVERY) {
		print_delivery(item);
	} else if (item->kind == STREAMER_ANSWER) {
		(void)printf("%.*s is %s%.*s\n", TEXT(item->subscription_id),
			item->accepted ? "live" : "refused: ", TEXT(item->text));
	} else {
		(void)printf("%.*s\n", TEXT(item->text)); /* examples/gateway.c takes them all */
	}
}

/* A subscription says what must hold by filters, by an expression, or by both. */
static void subscribe(struct streamer_stream *stream)
{
	struct streamer_failure failure = {0};
	const struct streamer_filter moving[] = {
		{.field = "state", .op = "in", .value = "[\"paid\",\"sent\"]"},
		{.field = "total", .op = "<", .value = "100"},
	};
	const struct streamer_subscription subscriptions[] = {
		{.id = "moving",
			.database = "shop",
			.collection = "orders",
			.filters = moving,
			.filters_count = 2},
		{.id = "large",
			.database = "shop",
			.collection = "orders",
			.expression = "total >= 100 || 'gift' in tags"},
		{.id = "all", .database = "shop", .collection = "orders"},
		{.id = "wrong",
			.database = "shop",
			.collection = "orders",
			.expression = "total >= much("},
	};
	for (size_t i = 0; i < sizeof(subscriptions) / sizeof(subscriptions[0]); i++) {
		struct streamer_item item;
		must(streamer_subscribe(stream, &subscriptions[i], &failure, NULL), &failure);
		/* The answer is an item. To have it first is to miss none of what follows. */
		must(streamer_wait(stream, 5000, &item), &failure);
		take_item(&item);
	}
}

/* FULL is no failure: the workers are behind, and the descriptor tells when they are not. */
static void push(struct streamer *streamer, const char *change)
{
	struct streamer_failure failure = {0};
	enum streamer_err err = streamer_push(streamer, change, strlen(change), &failure);
	while (err == STREAMER_FULL) {
		struct streamer_status status;
		struct pollfd ready = {.fd = streamer_fd(streamer), .events = POLLIN};
		(void)poll(&ready, 1, -1);
		streamer_status(streamer, &status); /* makes it unreadable again */
		err = streamer_push(streamer, change, strlen(change), &failure);
	}
	must(err, &failure);
}

/* Until everything that was pushed has been matched, and what came of it has been received. */
static void receive_all(struct streamer *streamer, struct streamer_stream *stream)
{
	struct streamer_status status;
	struct streamer_item item;
	do {
		streamer_status(streamer, &status); /* first: what is routed by now is queued */
		int timeout_ms = status.routed < status.events ? 10 : 0;
		while (streamer_wait(stream, timeout_ms, &item) == STREAMER_OK) {
			take_item(&item);
		}
	} while (status.routed < status.events);
}

int main(void)
{
	struct streamer_failure failure = {0};
	struct streamer_options options;
	struct streamer *streamer = NULL;
	struct streamer_stream *stream = NULL;

	/* Changes by push, no listener. .listen_address = "localhost:50052" would let gateways in
	   beside our own stream. */
	streamer_options_init(&options);
	options.log_fd = -1;
	must(streamer_options_set(&options, "queue_soft_bytes", "1048576", &failure), &failure);
	must(streamer_open(&options, &failure, &streamer), &failure);
	must(streamer_stream_open(streamer, &stream), &failure);

	subscribe(stream);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		push(streamer, changes[i]);
	}
	receive_all(streamer, stream);

	streamer_stream_close(stream); /* streams first, then their engine */
	streamer_close(streamer);
	return 0;
}
