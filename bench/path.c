/* One thread waits for two descriptors: the gateways' phase and the child's log. */
#include "path.h"
#include "child.h"
#include "feed.h"
#include "gateways.h"

#include <inttypes.h>
#include <poll.h>
#include <time.h>

#define LOOK_MS 1000
#define STALL_NS ((int64_t)60 * 1000000000) /* nothing is sent and nothing is reached */

struct path {
	struct workload workload;
	struct feed *feed;
	struct child *child;
	struct gateways *gateways;
};

struct marks {
	int64_t wall_ns, streamer_ns, load_ns;
};

static struct marks take_marks(const struct path *path)
{
	struct timespec used = {0};
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (struct marks){.wall_ns = measure_now_ns(),
		.streamer_ns = child_cpu_ns(path->child),
		.load_ns = (int64_t)used.tv_sec * 1000000000 + used.tv_nsec};
}

static enum err wait_for(struct path *path, enum gateways_phase phase, struct err_info *info)
{
	static const char *const names[] = {[GATEWAYS_SUBSCRIBED] = "subscribe",
		[GATEWAYS_WARM] = "get the warm-up",
		[GATEWAYS_DONE] = "get all changes"};
	uint64_t sent = 0;
	int64_t moved_ns = measure_now_ns();
	while (measure_now_ns() - moved_ns < STALL_NS) {
		struct pollfd ready[] = {
			{.fd = gateways_fd(path->gateways), .events = POLLIN},
			{.fd = child_log_fd(path->child), .events = POLLIN},
		};
		(void)poll(ready, 2, LOOK_MS);
		enum gateways_phase now = gateways_phase(path->gateways, info);
		if (now == GATEWAYS_WRONG) {
			return ERR_CORRUPT;
		}
		if (now >= phase) {
			return OK;
		}
		enum err err = child_read_log(path->child, info);
		if (err != OK) {
			return err;
		}
		if (feed_sent(path->feed) != sent) {
			sent = feed_sent(path->feed);
			moved_ns = measure_now_ns();
		}
	}
	return err_set(info, ERR_TIMEOUT, 0,
		"the gateways do not %s; %" PRIu64 " changes were sent", names[phase], sent);
}

static enum err open_all(struct path *path, double rate, const char *program, struct err_info *info)
{
	const struct feed_generator generator = {
		.next = workload_next, .ctx = &path->workload, .rate = rate};
	enum err err = feed_open(&generator, info, &path->feed);
	if (err == OK) {
		err = child_serve(program, feed_address(path->feed), info, &path->child);
	}
	if (err == OK) {
		err = gateways_open(&path->workload.shape, child_address(path->child), path->feed,
			info, &path->gateways);
	}
	return err;
}

static enum err measure(struct path *path, struct err_info *info, struct path_result *ret_result)
{
	const struct workload_shape *shape = &path->workload.shape;
	enum err err = wait_for(path, GATEWAYS_SUBSCRIBED, info);
	if (err == OK) {
		feed_allow(path->feed, workload_allowed(shape, 0));
		err = wait_for(path, GATEWAYS_WARM, info);
	}
	if (err != OK) {
		return err;
	}
	struct marks from = take_marks(path);
	feed_allow(path->feed, workload_allowed(shape, shape->warm_up));
	err = wait_for(path, GATEWAYS_DONE, info);
	struct marks to = take_marks(path);
	if (err != OK) {
		return err;
	}
	*ret_result = (struct path_result){.wall_s = (double)(to.wall_ns - from.wall_ns) / 1e9,
		.streamer_s = (double)(to.streamer_ns - from.streamer_ns) / 1e9,
		.load_s = (double)(to.load_ns - from.load_ns) / 1e9,
		.latency_ns = *gateways_latency(path->gateways)};
	return OK;
}

enum err path_run(const struct workload_shape *shape, double rate, const char *program,
	struct err_info *info, struct path_result *ret_result)
{
	struct path *path = mem_calloc(1, sizeof(*path));
	if (!path) {
		return err_set(info, ERR_MEMORY, 0, "%s", err_text(ERR_MEMORY));
	}
	workload_init(&path->workload, shape);
	enum err err = open_all(path, rate, program, info);
	if (err == OK) {
		err = measure(path, info, ret_result);
	}
	gateways_close(path->gateways);
	enum err stopped = child_stop(path->child, err == OK ? info : NULL);
	feed_close(path->feed);
	mem_free(path);
	return err != OK ? err : stopped;
}
