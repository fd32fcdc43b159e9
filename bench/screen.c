/* A line each: who got it, what happened, how long it took, which document, and what it says. */
#include "screen.h"
#include "app.h"
#include "value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 100
#define PLAIN "\x1B[0m"
#define DIM "\x1B[2m"
#define BOLD "\x1B[1m"

static const char *const watcher_colors[APP_WATCHERS] = {"\x1B[36m", "\x1B[33m", "\x1B[35m"};

void screen_init(struct screen *screen)
{
	const char *none = getenv("NO_COLOR"); /* NOLINT(concurrency-mt-unsafe): set by nobody */
	const char *kind = getenv("TERM");     /* NOLINT(concurrency-mt-unsafe): set by nobody */
	bool is_able = kind && *kind && strcmp(kind, "dumb") != 0;
	*screen = (struct screen){
		.has_color = isatty(STDOUT_FILENO) == 1 && is_able && !(none && *none)};
	(void)setvbuf(stdout, NULL, _IOLBF, 0); /* who reads a pipe sees it live, too */
}

void screen_fini(struct screen *screen)
{
	arena_fini(&screen->arena);
}

static const char *color(const struct screen *screen, const char *code)
{
	return screen->has_color ? code : "";
}

void screen_explain(const struct screen *screen, int rate, const char *puller, const char *streamer)
{
	(void)printf(
		"A chat and a shop make %d changes a second; a Puller (%s) sends them all to a\n"
		"Streamer process (%s). Three watchers have asked it over gRPC for what they\n"
		"want, and get that only, here with the time from Puller to watcher:\n",
		rate, puller, streamer);
	for (size_t i = 0; i < APP_WATCHERS; i++) {
		(void)printf("  %s%-10s%s  %s\n", color(screen, watcher_colors[i]),
			app_watchers[i].name, color(screen, PLAIN), app_watchers[i].text);
	}
	(void)printf("\n");
}

/* ---- a delivery ------------------------------------------------------------------------------ */

static void put_text(struct bytes text)
{
	for (size_t i = 0; i < text.size; i++) {
		unsigned char byte = (unsigned char)text.data[i];
		(void)putchar(byte < 0x20 || byte == 0x7F ? '?' : byte);
	}
}

/* A member of a member, or one at the top with `inner` NULL; empty if it is no string. */
static struct bytes text_at(const struct value *object, const char *outer, const char *inner)
{
	const struct value *value = value_member(object, bytes_of(outer));
	if (inner && value && value->kind == VALUE_OBJECT) {
		value = value_member(value, bytes_of(inner));
	}
	return value && value->kind == VALUE_STRING ? value_text(value) : (struct bytes){0};
}

static void put_message(const struct value *document)
{
	put_text(text_at(document, "author", NULL));
	(void)fputs(": ", stdout);
	put_text(text_at(document, "text", NULL));
}

static void put_order(const struct value *document)
{
	const struct value *total = value_member(document, bytes_of("total"));
	double sum = 0;
	if (total && total->kind == VALUE_DOUBLE) {
		sum = total->as.real;
	} else if (total && total->kind == VALUE_INT) {
		sum = (double)total->as.integer;
	}
	put_text(text_at(document, "state", NULL));
	(void)printf(", %.2f for ", sum);
	put_text(text_at(document, "customer", "name"));
}

static void put_document(struct screen *screen, const struct streamer_item *item)
{
	const struct value *document = NULL;
	struct bytes json = {item->document.data, item->document.size};
	struct bytes collection = {item->collection.data, item->collection.size};
	arena_reset(&screen->arena);
	if (item->operation == STREAMER_DELETE) {
		(void)fputs("is gone", stdout);
	} else if (json_parse(json, DEPTH_MAX, &screen->arena, &document, NULL) != OK ||
		document->kind != VALUE_OBJECT) {
		(void)fputs("?", stdout);
	} else if (bytes_equal(collection, bytes_of("messages"))) {
		put_message(document);
	} else {
		put_order(document);
	}
}

static const char *operation_color(enum streamer_operation operation)
{
	if (operation == STREAMER_INSERT) {
		return "\x1B[32m";
	}
	return operation == STREAMER_UPDATE ? "\x1B[34m" : "\x1B[31m";
}

void screen_delivery(
	struct screen *screen, size_t watcher, const struct streamer_item *item, int64_t latency_ns)
{
	(void)printf("  %s%-10s%s  %s%s%s  %s%5" PRId64 " µs%s  ",
		color(screen, watcher_colors[watcher]), app_watchers[watcher].name,
		color(screen, PLAIN), color(screen, operation_color(item->operation)),
		streamer_operation_name(item->operation), color(screen, PLAIN), color(screen, DIM),
		latency_ns / 1000, color(screen, PLAIN));
	put_text((struct bytes){item->document_id.data, item->document_id.size});
	(void)fputs("  ", stdout);
	put_document(screen, item);
	(void)putchar('\n');
}

/* ---- figures --------------------------------------------------------------------------------- */

static uint64_t quantile_us(const struct screen_figures *figures, double part)
{
	return histogram_quantile(figures->latency_ns, part) / 1000;
}

void screen_figures(const struct screen *screen, const struct screen_figures *figures)
{
	(void)printf("%s%4" PRId64 " s  events in %" PRIu64 "  matched %" PRIu64
		     "  delivered %" PRIu64 "  p99 %" PRIu64 " µs%s\n",
		color(screen, BOLD), figures->seconds, figures->sent, figures->matched,
		figures->delivered, quantile_us(figures, 0.99), color(screen, PLAIN));
}

void screen_summary(const struct screen *screen, const struct screen_figures *figures,
	const struct screen_watcher *watchers, double streamer_cores)
{
	(void)printf("\n%sIn %" PRId64 " s%s\n", color(screen, BOLD), figures->seconds,
		color(screen, PLAIN));
	(void)printf("  events in  %8" PRIu64 "  changes that the Puller sent to the Streamer\n"
		     "  matched    %8" PRIu64 "  of these, changes that at least one watcher got\n"
		     "  delivered  %8" PRIu64 "  arrivals at watchers\n",
		figures->sent, figures->matched, figures->delivered);
	for (size_t i = 0; i < APP_WATCHERS; i++) {
		(void)printf("  %s%-10s%s %8" PRIu64 "  of %" PRIu64
			     " that the application made for it, %s\n",
			color(screen, watcher_colors[i]), app_watchers[i].name,
			color(screen, PLAIN), watchers[i].received, watchers[i].expected,
			watchers[i].in_order ? "in order" : "OUT OF ORDER");
	}
	(void)printf("  from the Puller's call to the watcher: p50 %" PRIu64 ", p99 %" PRIu64
		     ", most %" PRIu64 " µs; the Streamer used %.1f %% of a core\n",
		quantile_us(figures, 0.5), quantile_us(figures, 0.99), quantile_us(figures, 1),
		streamer_cores * 100);
}
