/* The generator is asked, and told what was sent, on the loop's thread only; counts are atomic. */
#include "feed.h"
#include "loop_thread.h"
#include "measure.h"
#include "puller.h"

#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_DIGITS 16

struct feed {
	struct feed_generator generator;
	struct loop *loop;
	struct loop_waker *allowed_waker;
	struct loop_posted stop;
	sem_t stopped;
	struct puller *puller;
	struct loop_thread thread;
	uint64_t number; /* of the next change */
	uint32_t seconds, increment;
	char event_id[64];
	_Atomic uint64_t allowed;
	_Atomic uint64_t sent;
	_Atomic int64_t sent_ns[FEED_NOTES];
};

/* ---- event ids ------------------------------------------------------------------------------- */

/* "<seconds>-<increment>-<number>", the last one in hexadecimal digits as the original's hash. */
static void make_id(struct feed *feed, int64_t now_ms)
{
	static const char digits[] = "0123456789abcdef";
	uint32_t seconds = (uint32_t)(now_ms / 1000);
	if (seconds > feed->seconds) {
		feed->seconds = seconds;
		feed->increment = 0;
	}
	feed->increment++;
	int size = snprintf(feed->event_id, sizeof(feed->event_id), "%" PRIu32 "-%" PRIu32 "-",
		feed->seconds, feed->increment);
	char *place = feed->event_id + size;
	for (int i = 0; i < NUMBER_DIGITS; i++) {
		place[i] = digits[(feed->number >> (4 * (NUMBER_DIGITS - 1 - i))) & 15];
	}
	place[NUMBER_DIGITS] = '\0';
}

enum err feed_number(struct bytes event_id, uint64_t *ret_number)
{
	uint64_t number = 0;
	if (event_id.size <= NUMBER_DIGITS) {
		return ERR_CORRUPT;
	}
	for (size_t i = event_id.size - NUMBER_DIGITS; i < event_id.size; i++) {
		char digit = event_id.data[i];
		bool is_decimal = digit >= '0' && digit <= '9';
		if (!is_decimal && (digit < 'a' || digit > 'f')) {
			return ERR_CORRUPT;
		}
		number = number << 4 | (uint64_t)(is_decimal ? digit - '0' : digit - 'a' + 10);
	}
	*ret_number = number;
	return OK;
}

/* ---- the Puller's source --------------------------------------------------------------------- */

static enum err on_next(void *ctx, struct model_source_message *ret_message)
{
	struct feed *feed = ctx;
	if (feed->number >= atomic_load_explicit(&feed->allowed, memory_order_acquire)) {
		return ERR_EMPTY;
	}
	int64_t now_ms = loop_wall_us(feed->loop) / 1000;
	make_id(feed, now_ms);
	*ret_message = (struct model_source_message){.has_change = true,
		.change = {.event_id = bytes_of(feed->event_id),
			.database = bytes_of("default"),
			.store_collection = bytes_of("documents"),
			.cluster_seconds = feed->seconds,
			.cluster_increment = feed->increment,
			.timestamp_ms = now_ms}};
	enum err err = feed->generator.next(
		feed->generator.ctx, feed->number, now_ms, &ret_message->change);
	if (err == OK) {
		feed->number++;
	}
	return err;
}

static void on_sent(void *ctx, struct bytes event_id)
{
	struct feed *feed = ctx;
	uint64_t number = 0;
	check(feed_number(event_id, &number) == OK);
	atomic_store_explicit(
		&feed->sent_ns[number % FEED_NOTES], measure_now_ns(), memory_order_release);
	atomic_fetch_add_explicit(&feed->sent, 1, memory_order_relaxed);
}

static void on_allowed(void *ctx)
{
	struct feed *feed = ctx;
	puller_more(feed->puller);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void on_closed(void *ctx)
{
	struct feed *feed = ctx;
	loop_stop(feed->loop);
}

static void on_close(void *ctx)
{
	struct feed *feed = ctx;
	puller_close(feed->puller, on_closed, feed);
}

static enum err open_parts(struct feed *feed, struct err_info *info)
{
	const struct puller_source source = {.next = on_next, .sent = on_sent, .ctx = feed};
	const struct puller_options options = {
		.listen_address = "127.0.0.1:0", .source = &source, .rate = feed->generator.rate};
	enum err err = loop_new(&feed->loop);
	if (err == OK) {
		err = loop_waker_new(feed->loop, on_allowed, feed, &feed->allowed_waker);
	}
	if (err == OK) {
		err = puller_new(feed->loop, &options, info, &feed->puller);
	}
	if (err == OK) {
		err = loop_thread_start(&feed->thread, feed->loop);
	}
	return err;
}

enum err feed_open(
	const struct feed_generator *generator, struct err_info *info, struct feed **ret_feed)
{
	struct feed *feed = mem_calloc(1, sizeof(*feed));
	if (!feed) {
		return err_set(info, ERR_MEMORY, 0, "%s", err_text(ERR_MEMORY));
	}
	feed->generator = *generator;
	struct err_info cause = {0};
	enum err err = open_parts(feed, &cause);
	if (err != OK) {
		feed_close(feed);
		return err_set(info, err, 0, "the Puller cannot be started: %s",
			cause.text[0] ? cause.text : err_text(err));
	}
	*ret_feed = feed;
	return OK;
}

void feed_close(struct feed *feed)
{
	if (!feed) {
		return;
	}
	loop_thread_join(&feed->thread, on_close, feed);
	puller_free(feed->puller);
	if (feed->allowed_waker) {
		loop_waker_free(feed->allowed_waker);
	}
	loop_free(feed->loop);
	mem_free(feed);
}

const char *feed_address(const struct feed *feed)
{
	return puller_address(feed->puller);
}

void feed_allow(struct feed *feed, uint64_t end)
{
	atomic_store_explicit(&feed->allowed, end, memory_order_release);
	loop_waker_wake(feed->allowed_waker);
}

static void on_stop(void *ctx)
{
	struct feed *feed = ctx;
	check(sem_post(&feed->stopped) == 0);
}

/* The generator is asked in turns of the loop, and each looks at `allowed`. */
void feed_stop(struct feed *feed)
{
	atomic_store_explicit(&feed->allowed, 0, memory_order_release);
	feed->stop = (struct loop_posted){.fn = on_stop, .ctx = feed};
	check(sem_init(&feed->stopped, 0, 0) == 0);
	check(loop_post_owned(feed->loop, &feed->stop) == OK);
	while (sem_wait(&feed->stopped) != 0) {
	}
	(void)sem_destroy(&feed->stopped);
}

uint64_t feed_sent(const struct feed *feed)
{
	return atomic_load_explicit(&feed->sent, memory_order_relaxed);
}

int64_t feed_sent_ns(const struct feed *feed, uint64_t number)
{
	return atomic_load_explicit(&feed->sent_ns[number % FEED_NOTES], memory_order_acquire);
}
