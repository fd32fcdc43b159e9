/*
 * streamer-demo: a live application, a Puller, a Streamer process and three watchers, all real, and
 * what arrives. It ends with Ctrl-C or after DEMO_SECONDS, with status 0 if every watcher got
 * exactly what the application made for it, in order.
 */
#include "app.h"
#include "child.h"
#include "feed.h"
#include "measure.h"
#include "screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define RATE 500
#define SECONDS_MAX 86400
#define ANSWER_MS 10000
#define LAST_MS 5000 /* what is under way at the end has to arrive in */
#define RECENT 4096  /* changes of which it is known whether somebody got them */
#define SECOND_NS ((int64_t)1000000000)

struct watcher {
	struct streamer_stream *stream;
	uint64_t received;
	uint64_t next; /* a change that comes now has this number or a later one */
	bool is_late;  /* one had not */
};

struct demo {
	struct app *app;
	struct feed *feed;
	struct child *child;
	struct watcher watchers[APP_WATCHERS];
	struct screen screen;
	int signals, ticks;
	int64_t seconds_max; /* 0: until it is told to end */
	int64_t seconds;
	uint64_t matched, delivered;
	uint64_t recent[RECENT]; /* number + 1 of a change that somebody got, by its number */
	struct histogram latency_ns;
};

/* ---- deliveries ------------------------------------------------------------------------------ */

static enum err take_delivery(
	struct demo *demo, size_t index, const struct streamer_item *item, struct err_info *info)
{
	struct watcher *watcher = &demo->watchers[index];
	struct bytes event_id = {item->event_id.data, item->event_id.size};
	uint64_t number = 0;
	if (feed_number(event_id, &number) != OK) {
		return err_set(info, ERR_CORRUPT, 0, "a delivery of no change that was made: %.*s",
			BYTES_FORMAT(event_id));
	}
	int64_t latency_ns = measure_now_ns() - feed_sent_ns(demo->feed, number);
	histogram_add(&demo->latency_ns, latency_ns);
	watcher->received++;
	watcher->is_late |= number < watcher->next;
	watcher->next = number + 1;
	demo->delivered++;
	demo->matched += demo->recent[number % RECENT] != number + 1;
	demo->recent[number % RECENT] = number + 1;
	screen_delivery(&demo->screen, index, item, latency_ns);
	return OK;
}

/* The Streamer is our child: once gone, it does not come back. */
static bool has_ended(const struct streamer_item *item)
{
	return item->kind == STREAMER_END ||
		(item->kind == STREAMER_STATE && item->connection == STREAMER_RECONNECTING);
}

static enum err take_all(struct demo *demo, size_t index, struct err_info *info)
{
	for (;;) {
		struct streamer_item item;
		enum streamer_err got = streamer_receive(demo->watchers[index].stream, &item);
		if (got == STREAMER_EMPTY) {
			return OK;
		}
		if (got != STREAMER_OK || has_ended(&item)) {
			struct bytes why = {NULL, 0};
			if (got == STREAMER_OK) {
				why = (struct bytes){item.text.data, item.text.size};
			}
			return err_set(info, ERR_CLOSED, 0, "the stream of %s has ended: %.*s",
				app_watchers[index].name, BYTES_FORMAT(why));
		}
		if (item.kind == STREAMER_DELIVERY) {
			enum err err = take_delivery(demo, index, &item, info);
			if (err != OK) {
				return err;
			}
		}
	}
}

/* ---- the middle ------------------------------------------------------------------------------ */

static struct screen_figures figures(const struct demo *demo)
{
	return (struct screen_figures){.seconds = demo->seconds,
		.sent = feed_sent(demo->feed),
		.matched = demo->matched,
		.delivered = demo->delivered,
		.latency_ns = &demo->latency_ns};
}

static void tick(struct demo *demo)
{
	uint64_t count = 0;
	if (read(demo->ticks, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
		demo->seconds += (int64_t)count;
		const struct screen_figures now = figures(demo);
		screen_figures(&demo->screen, &now);
	}
}

/* Waits for something and takes it; *ret_told: a signal to end. */
static enum err turn(struct demo *demo, int timeout_ms, bool *ret_told, struct err_info *info)
{
	struct pollfd ready[APP_WATCHERS + 3] = {{.fd = demo->signals, .events = POLLIN},
		{.fd = demo->ticks, .events = POLLIN},
		{.fd = child_log_fd(demo->child), .events = POLLIN}};
	for (size_t i = 0; i < APP_WATCHERS; i++) {
		int fd = streamer_stream_fd(demo->watchers[i].stream);
		ready[3 + i] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	if (poll(ready, APP_WATCHERS + 3, timeout_ms) < 0 && errno != EINTR) {
		return err_set(info, ERR_IO, 0, "cannot wait: %s", strerrordesc_np(errno));
	}
	enum err err = ready[2].revents ? child_read_log(demo->child, info) : OK;
	for (size_t i = 0; err == OK && i < APP_WATCHERS; i++) {
		err = ready[3 + i].revents ? take_all(demo, i, info) : OK;
	}
	if (ready[1].revents) {
		tick(demo);
	}
	struct signalfd_siginfo taken;
	*ret_told = ready[0].revents &&
		read(demo->signals, &taken, sizeof(taken)) == (ssize_t)sizeof(taken);
	return err;
}

static bool has_all(const struct demo *demo)
{
	for (size_t i = 0; i < APP_WATCHERS; i++) {
		if (demo->watchers[i].received < app_expected(demo->app, i)) {
			return false;
		}
	}
	return true;
}

static enum err show(struct demo *demo, struct err_info *info)
{
	const struct itimerspec second = {.it_interval = {1, 0}, .it_value = {1, 0}};
	bool is_told = false;
	enum err err = OK;
	(void)timerfd_settime(demo->ticks, 0, &second, NULL);
	feed_allow(demo->feed, UINT64_MAX);
	while (err == OK && !is_told &&
		(demo->seconds_max == 0 || demo->seconds < demo->seconds_max)) {
		err = turn(demo, -1, &is_told, info);
	}
	feed_stop(demo->feed);
	(void)timerfd_settime(demo->ticks, 0, &(struct itimerspec){0}, NULL);
	int64_t until_ns = measure_now_ns() + LAST_MS * (SECOND_NS / 1000);
	is_told = false; /* Ctrl-C once more ends the wait for what is under way */
	while (err == OK && !is_told && !has_all(demo) && measure_now_ns() < until_ns) {
		err = turn(demo, 100, &is_told, info);
	}
	return err;
}

static enum err summarise(struct demo *demo, double streamer_cores, struct err_info *info)
{
	struct screen_watcher watchers[APP_WATCHERS];
	bool is_right = true;
	for (size_t i = 0; i < APP_WATCHERS; i++) {
		const struct watcher *watcher = &demo->watchers[i];
		watchers[i] = (struct screen_watcher){.received = watcher->received,
			.expected = app_expected(demo->app, i),
			.in_order = !watcher->is_late};
		is_right &= !watcher->is_late && watchers[i].received == watchers[i].expected;
	}
	const struct screen_figures now = figures(demo);
	screen_summary(&demo->screen, &now, watchers, streamer_cores);
	return is_right ? OK
			: err_set(info, ERR_CORRUPT, 0, "a watcher did not get what it should");
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* Blocked in all threads, so that they are read here and interrupt nothing. */
static int open_signals(void)
{
	sigset_t signals;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGTERM);
	if (pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0) {
		return -1;
	}
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Until the subscription is answered. */
static enum err wait_for_answer(
	struct streamer_stream *stream, const char *name, struct err_info *info)
{
	for (;;) {
		struct streamer_item item = {0};
		enum streamer_err got = streamer_wait(stream, ANSWER_MS, &item);
		if (got == STREAMER_OK && item.kind == STREAMER_ANSWER && item.accepted) {
			return OK;
		}
		if (got != STREAMER_OK || item.kind != STREAMER_STATE ||
			item.connection != STREAMER_CONNECTED) {
			struct bytes why = {item.text.data, item.text.size};
			return err_set(info, ERR_UNAVAILABLE, 0, "%s cannot watch: %s %.*s", name,
				streamer_err_text(got), BYTES_FORMAT(why));
		}
	}
}

static enum err open_watchers(struct demo *demo, struct err_info *info)
{
	for (size_t i = 0; i < APP_WATCHERS; i++) {
		const struct app_watcher *what = &app_watchers[i];
		struct watcher *watcher = &demo->watchers[i];
		struct streamer_failure failure = {0};
		enum streamer_err err =
			streamer_connect(child_address(demo->child), &failure, &watcher->stream);
		if (err == STREAMER_OK) {
			err = streamer_subscribe(
				watcher->stream, &what->subscription, &failure, NULL);
		}
		if (err != STREAMER_OK) {
			return err_set(info, (enum err)err, 0, "%s cannot watch: %s", what->name,
				failure.text);
		}
		enum err answered = wait_for_answer(watcher->stream, what->name, info);
		if (answered != OK) {
			return answered;
		}
	}
	return OK;
}

static enum err open_all(struct demo *demo, struct err_info *info)
{
	demo->ticks = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (demo->signals < 0 || demo->ticks < 0) {
		return err_set(info, ERR_IO, 0, "no descriptor: %s", strerrordesc_np(errno));
	}
	enum err err = app_new((uint64_t)measure_now_ns(), &demo->app);
	if (err != OK) {
		return err_set(info, err, 0, "%s", err_text(err));
	}
	const struct feed_generator generator = {.next = app_next, .ctx = demo->app, .rate = RATE};
	err = feed_open(&generator, info, &demo->feed);
	if (err == OK) {
		err = child_serve(NULL, feed_address(demo->feed), info, &demo->child);
	}
	return err != OK ? err : open_watchers(demo, info);
}

/* The Streamer goes before its Puller does, and so has nothing to complain of. */
static enum err close_all(struct demo *demo, struct err_info *info)
{
	for (size_t i = 0; i < APP_WATCHERS; i++) {
		streamer_stream_close(demo->watchers[i].stream);
	}
	enum err err = child_stop(demo->child, info);
	feed_close(demo->feed);
	app_free(demo->app);
	screen_fini(&demo->screen);
	(void)close(demo->signals);
	(void)close(demo->ticks);
	return err;
}

/* False: DEMO_SECONDS makes no sense, and that has been said. */
static bool read_seconds(int64_t *ret_seconds)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): set by nobody */
	const char *text = getenv("DEMO_SECONDS");
	char *end = NULL;
	if (!text || !*text) {
		return true;
	}
	long seconds = strtol(text, &end, 10);
	if (*end || seconds < 1 || seconds > SECONDS_MAX) {
		(void)fprintf(stderr,
			"streamer-demo: DEMO_SECONDS=%s: it should be a number from 1 to %d\n",
			text, SECONDS_MAX);
		return false;
	}
	*ret_seconds = seconds;
	return true;
}

int main(void)
{
	static struct demo demo;
	struct err_info info = {0};
	if (!read_seconds(&demo.seconds_max)) {
		return 2;
	}
	demo.signals = open_signals();
	screen_init(&demo.screen);
	enum err err = open_all(&demo, &info);
	if (err == OK) {
		screen_explain(
			&demo.screen, RATE, feed_address(demo.feed), child_address(demo.child));
		int64_t start_ns = measure_now_ns();
		err = show(&demo, &info);
		double taken_ns = (double)(measure_now_ns() - start_ns);
		double cores = (double)child_cpu_ns(demo.child) / taken_ns;
		err = err != OK ? err : summarise(&demo, cores, &info);
	}
	enum err closed = close_all(&demo, err == OK ? &info : NULL);
	if (err != OK || closed != OK) {
		(void)fprintf(stderr, "streamer-demo: %s\n", info.text);
		return 1;
	}
	return 0;
}
