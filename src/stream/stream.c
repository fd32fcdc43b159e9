/*
 * A stream is two chains, control ahead of deliveries, and an end that is a state rather than an
 * item: the producer writes why and what, then publishes ENDED (at once) or FINISHED (behind what
 * is queued).
 *
 * Sleeping and waking: the consumer that finds nothing exchanges `waits` to true and looks once
 * more; the producer, having published, exchanges it to false and wakes if it was true. Both
 * exchanges are on one variable, so one comes first: either the producer sees the wish, or the
 * consumer's second look sees the record.
 */
#include "stream_priv.h"

#include <string.h>

enum end_state { END_NONE, END_FINISHED, END_NOW };

/* What has gone through one end, and is written by that end alone: what is queued is a difference.
 */
struct flow {
	_Atomic uint64_t bytes;
	_Atomic uint64_t deliveries;
};

struct stream {
	_Atomic uint32_t holders;
	struct stream_limits limits;
	struct metrics *metrics;
	stream_wake_fn wake;
	void *wake_ctx;

	struct chain control;
	struct chain deliveries;
	struct flow pushed;
	char padding[64]; /* each end counts on a cache line of its own */
	struct flow popped;
	_Atomic int64_t head_us; /* the consumer's */
	_Atomic bool waits;
	_Atomic bool consumer_closed;
	_Atomic int end; /* enum end_state */
	enum err end_why;
	char end_text[160];

	int64_t soft_since_us; /* producer's: since when the soft limit is exceeded; 0: it is not */
	struct chain *peeked;  /* consumer's: whose first record was peeked; NULL: the end was */
	bool end_was_popped;   /* consumer's */
};

enum err stream_new(const struct stream_limits *limits, struct metrics *metrics,
	stream_wake_fn wake, void *ctx, struct stream **ret_stream)
{
	struct stream *stream = mem_calloc(1, sizeof(*stream));
	if (!stream) {
		return ERR_MEMORY;
	}
	if (chain_init(&stream->control) != OK || chain_init(&stream->deliveries) != OK) {
		if (stream->control.head) {
			chain_fini(&stream->control);
		}
		mem_free(stream);
		return ERR_MEMORY;
	}
	atomic_init(&stream->holders, 2);
	atomic_init(&stream->waits, true);
	stream->limits = *limits;
	stream->metrics = metrics;
	stream->wake = wake;
	stream->wake_ctx = ctx;
	metrics_add(metrics, METRIC_streams, 1);
	metrics_add(metrics, METRIC_streams_opened, 1);
	*ret_stream = stream;
	return OK;
}

static void add(_Atomic uint64_t *figure, uint64_t amount)
{
	uint64_t before = atomic_load_explicit(figure, memory_order_relaxed);
	atomic_store_explicit(figure, before + amount, memory_order_relaxed);
}

/* An end that looks at the other's figure may see an old one. */
static uint64_t difference(const _Atomic uint64_t *pushed, const _Atomic uint64_t *popped)
{
	uint64_t out = atomic_load_explicit(popped, memory_order_relaxed);
	uint64_t in = atomic_load_explicit(pushed, memory_order_relaxed);
	return in > out ? in - out : 0;
}

static size_t event_cost(const struct event *event, bool is_bare)
{
	return is_bare ? event->encoded_bare.size : event->encoded.size;
}

static size_t record_cost(const struct record *record)
{
	return record->size + (record->event ? event_cost(record->event, record->is_bare) : 0);
}

static void take_first(struct stream *stream, struct chain *chain, struct record *record,
	enum metric deliveries_metric)
{
	size_t cost = record_cost(record);
	add(&stream->popped.bytes, cost);
	metrics_add(stream->metrics, METRIC_queued_bytes, -(int64_t)cost);
	if (record->kind == STREAM_DELIVERY) {
		add(&stream->popped.deliveries, 1);
		metrics_add(stream->metrics, deliveries_metric, 1);
	}
	struct event *event = record->event;
	chain_drop_first(chain, record);
	event_unref(event);
}

/* Consumer's end, or the last holder: lets go of everything queued. */
static void drop_queued(struct stream *stream)
{
	struct chain *chains[] = {&stream->control, &stream->deliveries};
	for (size_t i = 0; i < 2; i++) {
		struct record *record = NULL;
		while ((record = chain_first(chains[i])) != NULL) {
			take_first(stream, chains[i], record, METRIC_deliveries_discarded);
		}
	}
}

void stream_unref(struct stream *stream)
{
	if (!stream || atomic_fetch_sub_explicit(&stream->holders, 1, memory_order_acq_rel) != 1) {
		return;
	}
	drop_queued(stream);
	chain_fini(&stream->control);
	chain_fini(&stream->deliveries);
	metrics_add(stream->metrics, METRIC_streams, -1);
	mem_free(stream);
}

/* ---- producer -------------------------------------------------------------------------------- */

static void wake_consumer(struct stream *stream)
{
	if (atomic_exchange_explicit(&stream->waits, false, memory_order_acq_rel)) {
		stream->wake(stream->wake_ctx);
	}
}

static void end_with(struct stream *stream, enum end_state state, enum err why, const char *text)
{
	int end = atomic_load_explicit(&stream->end, memory_order_relaxed);
	if (end == END_NOW || (end == END_FINISHED && state == END_FINISHED)) {
		return;
	}
	if (end == END_NONE) {
		/* a stream that was told to finish keeps its words: its consumer may be reading
		 * them */
		stream->end_why = why;
		size_t size = strlen(text);
		size = size < sizeof(stream->end_text) ? size : sizeof(stream->end_text) - 1;
		memcpy(stream->end_text, text, size);
	}
	atomic_store_explicit(&stream->end, state, memory_order_release);
	if (state == END_NOW) {
		/* The consumer may not be waiting for the stream but for whoever takes its items.
		 */
		atomic_store_explicit(&stream->waits, false, memory_order_release);
		stream->wake(stream->wake_ctx);
	} else {
		wake_consumer(stream);
	}
}

void stream_end(struct stream *stream, enum err why, const char *text)
{
	end_with(stream, END_NOW, why, text);
}

void stream_finish(struct stream *stream, enum err why, const char *text)
{
	end_with(stream, END_FINISHED, why, text);
}

bool stream_has_ended(const struct stream *stream)
{
	return atomic_load_explicit(&stream->end, memory_order_relaxed) != END_NONE ||
		atomic_load_explicit(&stream->consumer_closed, memory_order_relaxed);
}

const char *stream_end_text(const struct stream *stream)
{
	return stream->end_text;
}

static enum err too_slow(struct stream *stream, const char *limit)
{
	metrics_add(stream->metrics, METRIC_streams_slow, 1);
	stream_end(stream, ERR_LIMIT, limit);
	return ERR_LIMIT;
}

enum err stream_tick(struct stream *stream, int64_t now_us)
{
	if (stream_has_ended(stream)) {
		return OK;
	}
	if (stream_queued_bytes(stream) <= stream->limits.soft_bytes) {
		stream->soft_since_us = 0;
		return OK;
	}
	if (stream->soft_since_us == 0) {
		stream->soft_since_us = now_us > 0 ? now_us : 1;
		return OK;
	}
	if (now_us - stream->soft_since_us >= stream->limits.soft_us) {
		return too_slow(stream, "too slow: queue_soft_bytes exceeded for queue_soft_ms");
	}
	return OK;
}

/* Counts what is about to be queued against the limits. */
static enum err admit(struct stream *stream, size_t cost, int64_t now_us)
{
	if (stream_has_ended(stream)) {
		return ERR_CLOSED;
	}
	if (stream_queued_bytes(stream) + cost > stream->limits.hard_bytes) {
		return too_slow(stream, "too slow: queue_hard_bytes exceeded");
	}
	return stream_tick(stream, now_us);
}

static void publish(struct stream *stream, struct chain *chain, const struct record *record)
{
	size_t cost = record_cost(record);
	add(&stream->pushed.bytes, cost);
	metrics_add(stream->metrics, METRIC_queued_bytes, (int64_t)cost);
	chain_commit(chain, record);
	wake_consumer(stream);
}

enum err stream_push_delivery(
	struct stream *stream, const struct stream_delivery *delivery, int64_t now_us)
{
	struct event *event = delivery->event;
	size_t run_size = 0;
	for (size_t i = 0; i < delivery->runs_count; i++) {
		run_size += delivery->runs[i].size;
	}
	if (run_size > UINT32_MAX / 2) {
		return too_slow(stream, "one event matches too many subscriptions");
	}
	size_t size = record_size(run_size);
	enum err err = admit(stream, size + event_cost(event, delivery->is_bare), now_us);
	if (err != OK) {
		return err;
	}
	struct record *record = chain_begin(&stream->deliveries, size);
	if (!record) {
		return ERR_MEMORY;
	}
	record->kind = STREAM_DELIVERY;
	record->is_replayed = delivery->is_replayed;
	record->is_bare = delivery->is_bare;
	record->has_more = delivery->has_more;
	record->event = event_ref(event);
	record->figure = now_us;
	record->count = delivery->ids_count;
	record->run_size = (uint32_t)run_size;
	char *place = (char *)(record + 1);
	for (size_t i = 0; i < delivery->runs_count; i++) {
		memcpy(place, delivery->runs[i].data, delivery->runs[i].size);
		place += delivery->runs[i].size;
	}
	add(&stream->pushed.deliveries, 1);
	metrics_add(stream->metrics, METRIC_deliveries_queued, 1);
	metrics_add(stream->metrics, METRIC_deliveries_replayed, delivery->is_replayed);
	metrics_add(stream->metrics, METRIC_delivered_ids, delivery->ids_count);
	publish(stream, &stream->deliveries, record);
	return OK;
}

/* A control record with `more` bytes behind it, to be filled and published. */
static enum err begin_control(
	struct stream *stream, enum stream_item_kind kind, size_t more, struct record **ret_record)
{
	struct record *record = chain_begin(&stream->control, record_size(more));
	if (!record) {
		return ERR_MEMORY;
	}
	record->kind = (uint16_t)kind;
	*ret_record = record;
	return OK;
}

/* Copies bytes to *place, which moves behind them; what is borrowed points to the copy from then
 * on. */
static void keep(char **place, struct bytes *bytes)
{
	if (bytes->size > 0) {
		memcpy(*place, bytes->data, bytes->size);
	}
	bytes->data = *place;
	*place += bytes->size;
}

enum err stream_push_answer(
	struct stream *stream, const struct model_answer *answer, int64_t now_us)
{
	size_t more = sizeof(*answer) + answer->id.size + answer->text.size + answer->hint.size +
		answer->live_after.size;
	enum err err = admit(stream, record_size(more), now_us);
	struct record *record = NULL;
	if (err == OK) {
		err = begin_control(stream, STREAM_ANSWER, more, &record);
	}
	if (err != OK) {
		return err;
	}
	struct model_answer *kept = (struct model_answer *)(void *)(record + 1);
	char *place = (char *)(kept + 1);
	*kept = *answer;
	keep(&place, &kept->id);
	keep(&place, &kept->text);
	keep(&place, &kept->hint);
	keep(&place, &kept->live_after);
	publish(stream, &stream->control, record);
	return OK;
}

enum err stream_push_notice(struct stream *stream, const struct model_notice *notice,
	struct bytes run, uint32_t ids_count, int64_t now_us)
{
	size_t more = sizeof(*notice) + notice->text.size + run.size;
	enum err err = admit(stream, record_size(more), now_us);
	struct record *record = NULL;
	if (err == OK) {
		err = begin_control(stream, STREAM_NOTICE, more, &record);
	}
	if (err != OK) {
		return err;
	}
	struct model_notice *kept = (struct model_notice *)(void *)(record + 1);
	char *place = (char *)(kept + 1);
	*kept = *notice;
	keep(&place, &run);
	keep(&place, &kept->text);
	record->run_size = (uint32_t)run.size;
	record->count = ids_count;
	publish(stream, &stream->control, record);
	return OK;
}

enum err stream_push_gap(struct stream *stream, const struct model_gap *gap, int64_t now_us)
{
	size_t size = record_size(
		sizeof(*gap) + gap->after.size + gap->until.size + gap->run.size + gap->event.size);
	enum err err = admit(stream, size, now_us);
	if (err != OK) {
		return err;
	}
	struct record *record = chain_begin(&stream->deliveries, size);
	if (!record) {
		return ERR_MEMORY;
	}
	record->kind = STREAM_GAP;
	struct model_gap *kept = (struct model_gap *)(void *)(record + 1);
	char *place = (char *)(kept + 1);
	*kept = *gap;
	keep(&place, &kept->after);
	keep(&place, &kept->until);
	keep(&place, &kept->run);
	keep(&place, &kept->event);
	metrics_add(stream->metrics, METRIC_gaps, 1);
	publish(stream, &stream->deliveries, record);
	return OK;
}

enum err stream_push_welcome(
	struct stream *stream, const struct model_welcome *welcome, int64_t now_us)
{
	size_t more = sizeof(*welcome) + welcome->position.size;
	enum err err = admit(stream, record_size(more), now_us);
	struct record *record = NULL;
	if (err == OK) {
		err = begin_control(stream, STREAM_WELCOME, more, &record);
	}
	if (err != OK) {
		return err;
	}
	struct model_welcome *kept = (struct model_welcome *)(void *)(record + 1);
	char *place = (char *)(kept + 1);
	*kept = *welcome;
	keep(&place, &kept->position);
	publish(stream, &stream->control, record);
	return OK;
}

enum err stream_push_message(struct stream *stream, struct bytes message, int64_t now_us)
{
	enum err err = admit(stream, record_size(message.size), now_us);
	struct record *record = NULL;
	if (err == OK) {
		err = begin_control(stream, STREAM_MESSAGE, message.size, &record);
	}
	if (err != OK) {
		return err;
	}
	char *place = (char *)(record + 1);
	keep(&place, &message);
	record->run_size = (uint32_t)message.size;
	publish(stream, &stream->control, record);
	return OK;
}

enum err stream_push_ack(struct stream *stream, int64_t timestamp_ms, int64_t now_us)
{
	enum err err = admit(stream, record_size(0), now_us);
	struct record *record = NULL;
	if (err == OK) {
		err = begin_control(stream, STREAM_ACK, 0, &record);
	}
	if (err != OK) {
		return err;
	}
	record->figure = timestamp_ms;
	publish(stream, &stream->control, record);
	return OK;
}

enum err stream_push_state(struct stream *stream, enum stream_state state, struct bytes text)
{
	if (stream_has_ended(stream)) {
		return ERR_CLOSED;
	}
	struct record *record = NULL;
	enum err err = begin_control(stream, STREAM_STATE, text.size, &record);
	if (err != OK) {
		return err;
	}
	char *place = (char *)(record + 1);
	keep(&place, &text);
	record->figure = state;
	record->run_size = (uint32_t)text.size;
	publish(stream, &stream->control, record);
	return OK;
}

size_t stream_queued_bytes(const struct stream *stream)
{
	return (size_t)difference(&stream->pushed.bytes, &stream->popped.bytes);
}

uint64_t stream_queued_count(const struct stream *stream)
{
	return difference(&stream->pushed.deliveries, &stream->popped.deliveries);
}

int64_t stream_head_us(const struct stream *stream)
{
	return atomic_load_explicit(&stream->head_us, memory_order_relaxed);
}

/* ---- consumer -------------------------------------------------------------------------------- */

static void view_record(const struct record *record, struct stream_item *item)
{
	const char *place = (const char *)(record + 1);
	item->kind = (enum stream_item_kind)record->kind;
	switch (item->kind) {
	case STREAM_DELIVERY:
		item->event = record->event;
		item->is_replayed = record->is_replayed;
		item->is_bare = record->is_bare;
		item->has_more = record->has_more;
		item->ids_count = record->count;
		item->run = (struct bytes){place, record->run_size};
		break;
	case STREAM_ANSWER:
		item->answer = *(const struct model_answer *)(const void *)place;
		break;
	case STREAM_NOTICE:
		item->notice = *(const struct model_notice *)(const void *)place;
		item->ids_count = record->count;
		item->run = (struct bytes){place + sizeof(item->notice), record->run_size};
		break;
	case STREAM_GAP:
		item->gap = *(const struct model_gap *)(const void *)place;
		break;
	case STREAM_WELCOME:
		item->welcome = *(const struct model_welcome *)(const void *)place;
		break;
	case STREAM_MESSAGE:
		item->message = (struct bytes){place, record->run_size};
		break;
	case STREAM_ACK:
		item->timestamp_ms = record->figure;
		break;
	case STREAM_STATE:
		item->state = (enum stream_state)record->figure;
		item->text = (struct bytes){place, record->run_size};
		break;
	case STREAM_END:
		check(false);
		break;
	}
}

static void note_head(struct stream *stream, const struct record *record)
{
	if (record && record->kind == STREAM_DELIVERY) {
		atomic_store_explicit(&stream->head_us, record->figure, memory_order_relaxed);
	}
}

static enum err look(struct stream *stream, struct stream_item *item)
{
	int end = atomic_load_explicit(&stream->end, memory_order_acquire);
	struct record *record = NULL;
	stream->peeked = NULL;
	if (end != END_NOW) {
		stream->peeked = &stream->control;
		record = chain_first(&stream->control);
		if (!record) {
			stream->peeked = &stream->deliveries;
			record = chain_first(&stream->deliveries);
			note_head(stream, record);
		}
	}
	if (record) {
		view_record(record, item);
		return OK;
	}
	stream->peeked = NULL;
	if (end == END_NONE) {
		return ERR_EMPTY;
	}
	item->kind = STREAM_END;
	item->why = stream->end_why;
	item->text = bytes_of(stream->end_text);
	return OK;
}

enum err stream_peek(struct stream *stream, struct stream_item *ret_item)
{
	if (stream->end_was_popped) {
		return ERR_CLOSED;
	}
	enum err err = look(stream, ret_item);
	if (err == ERR_EMPTY) {
		atomic_exchange_explicit(&stream->waits, true, memory_order_acq_rel);
		err = look(stream, ret_item);
	}
	return err;
}

bool stream_has_deliveries(struct stream *stream)
{
	return chain_first(&stream->deliveries) != NULL;
}

void stream_pop(struct stream *stream)
{
	if (!stream->peeked) {
		check(atomic_load_explicit(&stream->end, memory_order_relaxed) != END_NONE);
		stream->end_was_popped = true;
		drop_queued(stream);
		return;
	}
	struct record *record = chain_first(stream->peeked);
	check(record);
	take_first(stream, stream->peeked, record, METRIC_deliveries_sent);
}

void stream_close(struct stream *stream)
{
	atomic_store_explicit(&stream->consumer_closed, true, memory_order_release);
	stream->end_was_popped = true;
	drop_queued(stream);
}
