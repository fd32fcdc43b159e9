/*
 * Each gateway knows which change it has to get next: the next number that the workload says
 * reaches it. Anything else is wrong: a loss, a repeat, another order, another subscription.
 */
#include "gateways.h"
#include "grpc.h"
#include "loop_thread.h"
#include "wire.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WINDOW_BYTES (16U << 20)
#define SKIM_FROM_IDS 32
#define DELIVERY_TAG '\x0A'              /* StreamerMessage.delivery */
#define EVENT_TAG '\x12'                 /* EventDelivery.event */
#define STALLED_WINDOW_BYTES (64U << 10) /* soon full: the rest waits in the Streamer */

struct gateway {
	struct gateways *all;
	uint32_t number;
	struct grpc_client *client; /* NULL once its connection is gone */
	struct grpc_call *call;     /* NULL once it has ended */
	uint32_t asked, answered;   /* subscriptions */
	uint64_t next;              /* change that it has to get */
	uint32_t next_index;        /* by which subscriptions: the first */
	uint32_t next_count;        /* and how many */
	struct buffer request;
	struct arena arena;
};

struct gateways {
	struct workload_shape shape;
	struct feed *feed;
	struct loop *loop;
	struct loop_thread thread;
	bool is_closing;
	int fd;
	struct gateway *items;
	uint32_t open;                    /* connections */
	uint32_t reached[GATEWAYS_WRONG]; /* gateways, by phase */
	struct err_info wrong;            /* written before the phase says so */
	_Atomic int phase;
	struct histogram latency;
};

static bool is_stalled(const struct gateway *gateway)
{
	return gateway->number < gateway->all->shape.stalled;
}

/* ---- phases ---------------------------------------------------------------------------------- */

static void tell(struct gateways *all, enum gateways_phase phase)
{
	uint64_t one = 1;
	atomic_store_explicit(&all->phase, (int)phase, memory_order_release);
	(void)!write(all->fd, &one, sizeof(one));
}

static void reach(struct gateway *gateway, enum gateways_phase phase)
{
	struct gateways *all = gateway->all;
	uint32_t stalled = phase == GATEWAYS_SUBSCRIBED ? 0 : all->shape.stalled;
	if (++all->reached[phase] == all->shape.gateways - stalled && all->wrong.code == OK) {
		tell(all, phase);
	}
}

/* What is wrong first is told; what follows from it is not. */
static void wrong(struct gateways *all, const char *format, ...) PRINTF_LIKE(2, 3);
static void wrong(struct gateways *all, const char *format, ...)
{
	if (all->wrong.code != OK || all->is_closing) {
		return;
	}
	va_list arguments;
	va_start(arguments, format);
	(void)vsnprintf(all->wrong.text, sizeof(all->wrong.text), format, arguments);
	va_end(arguments);
	all->wrong.code = ERR_CORRUPT;
	tell(all, GATEWAYS_WRONG);
}

enum gateways_phase gateways_phase(struct gateways *gateways, struct err_info *info)
{
	uint64_t count = 0;
	(void)!read(gateways->fd, &count, sizeof(count));
	int phase = atomic_load_explicit(&gateways->phase, memory_order_acquire);
	if (phase == GATEWAYS_WRONG) {
		*info = gateways->wrong;
	}
	return (enum gateways_phase)phase;
}

int gateways_fd(const struct gateways *gateways)
{
	return gateways->fd;
}

const struct histogram *gateways_latency(const struct gateways *gateways)
{
	return &gateways->latency;
}

/* ---- subscribing ----------------------------------------------------------------------------- */

static enum err subscribe(struct gateway *gateway, uint32_t index)
{
	const struct workload_shape *shape = &gateway->all->shape;
	char id[WORKLOAD_ID_SIZE + 1];
	char key[WORKLOAD_KEY_SIZE + 1];
	workload_id(shape, gateway->number, index, id);
	workload_key(shape, gateway->number, index, key);
	const struct value value = value_string(bytes_of(key));
	const struct model_filter filter = {
		.field = bytes_of("key"), .op = bytes_of("=="), .value = &value};
	const struct model_subscription subscription = {.id = bytes_of(id),
		.database = bytes_of("default"),
		.collection = bytes_of(WORKLOAD_COLLECTION),
		.filters = &filter,
		.filters_count = 1};
	gateway->request.size = 0;
	enum err err = wire_subscribe_encode(&gateway->request, &subscription);
	return err != OK ? err : grpc_call_send(gateway->call, buffer_bytes(&gateway->request));
}

/* As many as the call takes; the rest when it is writable. */
static void subscribe_more(void *ctx)
{
	struct gateway *gateway = ctx;
	uint32_t count = workload_per_gateway(&gateway->all->shape) + 1;
	enum err err = OK;
	while (gateway->asked < count && err == OK) {
		err = subscribe(gateway, gateway->asked);
		gateway->asked += err == OK;
	}
	if (err != OK && err != ERR_FULL) {
		wrong(gateway->all, "gateway %u cannot subscribe: %s", gateway->number,
			err_text(err));
	}
}

static void take_answer(struct gateway *gateway, const struct model_answer *answer)
{
	if (answer->refusal != MODEL_ACCEPTED) {
		wrong(gateway->all, "gateway %u: subscription %.*s is refused: %.*s",
			gateway->number, BYTES_FORMAT(answer->id), BYTES_FORMAT(answer->text));
	}
	if (++gateway->answered == workload_per_gateway(&gateway->all->shape) + 1) {
		grpc_call_pause(gateway->call, is_stalled(gateway));
		reach(gateway, GATEWAYS_SUBSCRIBED);
	}
}

/* ---- deliveries ------------------------------------------------------------------------------ */

/* To the first change from `number` on that it has to get. */
static void expect(struct gateway *gateway, uint64_t number)
{
	const struct workload_shape *shape = &gateway->all->shape;
	uint64_t end = shape->warm_up + shape->events;
	while (number < end &&
		!workload_reaches(shape, gateway->number, number, &gateway->next_index,
			&gateway->next_count)) {
		number++;
	}
	gateway->next = number;
}

static bool is_right_id(const struct gateway *gateway, struct bytes run)
{
	struct bytes id;
	return wire_id_next(&run, &id) &&
		workload_index(&gateway->all->shape, gateway->number, id) - gateway->next_index <
		gateway->next_count;
}

/*
 * As many subscriptions as there should be, and the right ones. All ids are of one size, so of many
 * the first and the last tell, in a time that does not hold up those who send them.
 */
static bool is_right_run(const struct gateway *gateway, struct bytes run)
{
	size_t size = wire_id_size((struct bytes){NULL, WORKLOAD_ID_SIZE});
	if (run.size != size * gateway->next_count) {
		return false;
	}
	struct bytes last = {run.data + run.size - size, size};
	return is_right_id(gateway, run) && is_right_id(gateway, last);
}

static void note_latency(struct gateways *all, uint64_t number)
{
	if (number >= all->shape.warm_up) {
		int64_t taken_ns = measure_now_ns() - feed_sent_ns(all->feed, number);
		histogram_add(&all->latency, taken_ns);
	}
}

/* Within a phase only: the next one is not the gateways' to begin. */
static void pace(const struct gateway *gateway, uint64_t next)
{
	const struct workload_shape *shape = &gateway->all->shape;
	bool is_last = gateway->number + 1 == shape->gateways;
	if (is_last && shape->ahead > 0 && next != shape->warm_up &&
		next % (shape->ahead / 2 + 1) == 0) {
		feed_allow(gateway->all->feed, workload_allowed(shape, next));
	}
}

static void take_delivery(struct gateway *gateway, const struct wire_streamer_message *message)
{
	struct gateways *all = gateway->all;
	struct model_delivery delivery;
	uint64_t number = 0;
	enum err err = wire_delivery_parse(message->event, &delivery);
	if (err == OK) {
		err = feed_number(delivery.event_id, &number);
	}
	if (err != OK || number != gateway->next || delivery.operation != MODEL_INSERT ||
		delivery.document.size == 0) {
		wrong(all, "gateway %u got change %" PRIu64 " (%s), not %" PRIu64, gateway->number,
			number, err_text(err), gateway->next);
		return;
	}
	if (!is_right_run(gateway, message->run)) {
		wrong(all, "gateway %u got change %" PRIu64 " for other subscriptions",
			gateway->number, number);
	}
	note_latency(all, number);
	expect(gateway, number + 1);
	pace(gateway, number + 1);
	if (workload_is_last(&all->shape, number)) {
		reach(gateway, number + 1 == all->shape.warm_up ? GATEWAYS_WARM : GATEWAYS_DONE);
	}
}

/* A length-delimited field of this tag at the beginning of *rest: its size; *rest is what follows
 * the size. */
static bool skim_field(struct bytes *rest, char tag, uint64_t *ret_size)
{
	*ret_size = 0;
	if (rest->size == 0 || rest->data[0] != tag) {
		return false;
	}
	size_t at = 0;
	unsigned char byte = 0x80;
	for (unsigned shift = 0; byte & 0x80 && shift < 63; shift += 7) {
		if (++at >= rest->size) {
			return false;
		}
		byte = (unsigned char)rest->data[at];
		*ret_size |= (uint64_t)(byte & 0x7F) << shift;
	}
	rest->data += at + 1;
	rest->size -= at + 1;
	return *ret_size <= rest->size;
}

/* A delivery of many ids, exactly as long as it should be, is not walked id by id. */
static bool skim(const struct gateway *gateway, struct bytes bytes,
	struct wire_streamer_message *ret_message)
{
	uint64_t size = 0;
	size_t run_size =
		gateway->next_count * wire_id_size((struct bytes){NULL, WORKLOAD_ID_SIZE});
	if (gateway->next_count < SKIM_FROM_IDS || !skim_field(&bytes, DELIVERY_TAG, &size) ||
		size != bytes.size || size < run_size) {
		return false;
	}
	*ret_message = (struct wire_streamer_message){
		.kind = WIRE_STREAMER_DELIVERY, .run = {bytes.data, run_size}};
	struct bytes rest = {bytes.data + run_size, bytes.size - run_size};
	bool is_event = skim_field(&rest, EVENT_TAG, &size);
	ret_message->event = rest;
	return is_event && size == rest.size;
}

static void on_message(void *ctx, struct bytes bytes)
{
	struct gateway *gateway = ctx;
	struct wire_streamer_message message;
	if (skim(gateway, bytes, &message)) {
		take_delivery(gateway, &message);
		return;
	}
	arena_reset(&gateway->arena);
	enum err err = wire_streamer_message_parse(bytes, &gateway->arena, &message);
	if (err != OK) {
		wrong(gateway->all, "gateway %u got a message that cannot be read: %s",
			gateway->number, err_text(err));
	} else if (message.kind == WIRE_STREAMER_DELIVERY) {
		take_delivery(gateway, &message);
	} else if (message.kind == WIRE_STREAMER_ANSWER) {
		take_answer(gateway, &message.answer);
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct gateway *gateway = ctx;
	gateway->call = NULL;
	if (is_stalled(gateway) && status == GRPC_RESOURCE_EXHAUSTED) {
		return; /* what becomes of one that reads nothing for too long */
	}
	wrong(gateway->all, "the call of gateway %u ended: %s %.*s", gateway->number,
		grpc_status_name(status), BYTES_FORMAT(text));
}

static void stop_if_gone(struct gateways *all)
{
	if (all->is_closing && all->open == 0) {
		loop_stop(all->loop);
	}
}

static void on_closed(void *ctx, enum err why)
{
	struct gateway *gateway = ctx;
	gateway->client = NULL;
	gateway->all->open--;
	wrong(gateway->all, "the connection of gateway %u is gone: %s", gateway->number,
		err_text(why));
	stop_if_gone(gateway->all);
}

static void on_close(void *ctx)
{
	struct gateways *all = ctx;
	all->is_closing = true;
	for (uint32_t i = 0; i < all->shape.gateways; i++) {
		if (all->items[i].client) {
			grpc_client_close(all->items[i].client);
		}
	}
	stop_if_gone(all);
}

static enum err open_gateway(struct gateway *gateway, const char *address)
{
	static const struct grpc_client_events client_events = {.closed = on_closed};
	static const struct grpc_call_events call_events = {
		.message = on_message, .writable = subscribe_more, .ended = on_ended};
	const struct grpc_options options = {.message_bytes_max = 4 << 20,
		.window_bytes = is_stalled(gateway) ? STALLED_WINDOW_BYTES : WINDOW_BYTES};
	expect(gateway, 0);
	enum err err = grpc_client_open(
		gateway->all->loop, address, &options, &client_events, gateway, &gateway->client);
	if (err != OK) {
		return err;
	}
	gateway->all->open++;
	err = grpc_client_call(
		gateway->client, WIRE_STREAMER_STREAM, 0, &call_events, gateway, &gateway->call);
	if (err == OK) {
		subscribe_more(gateway);
	}
	return err;
}

static enum err open_all(struct gateways *all, const char *address)
{
	all->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	all->items = mem_calloc(all->shape.gateways, sizeof(*all->items));
	enum err err = all->fd < 0 ? ERR_IO : OK;
	if (err == OK) {
		err = all->items ? loop_new(&all->loop) : ERR_MEMORY;
	}
	for (uint32_t i = 0; err == OK && i < all->shape.gateways; i++) {
		all->items[i].all = all;
		all->items[i].number = i;
		err = open_gateway(&all->items[i], address);
	}
	if (err == OK) {
		err = loop_thread_start(&all->thread, all->loop);
	}
	return err;
}

enum err gateways_open(const struct workload_shape *shape, const char *address, struct feed *feed,
	struct err_info *info, struct gateways **ret_gateways)
{
	struct gateways *all = mem_calloc(1, sizeof(*all));
	if (!all) {
		return err_set(info, ERR_MEMORY, 0, "%s", err_text(ERR_MEMORY));
	}
	all->shape = *shape;
	all->feed = feed;
	all->fd = -1;
	enum err err = open_all(all, address);
	if (err != OK) {
		gateways_close(all);
		return err_set(info, err, 0, "the gateways cannot be started: %s", err_text(err));
	}
	*ret_gateways = all;
	return OK;
}

void gateways_close(struct gateways *gateways)
{
	if (!gateways) {
		return;
	}
	loop_thread_join(&gateways->thread, on_close, gateways);
	loop_free(gateways->loop);
	for (uint32_t i = 0; gateways->items && i < gateways->shape.gateways; i++) {
		buffer_fini(&gateways->items[i].request);
		arena_fini(&gateways->items[i].arena);
	}
	mem_free(gateways->items);
	if (gateways->fd >= 0) {
		(void)close(gateways->fd);
	}
	mem_free(gateways);
}
