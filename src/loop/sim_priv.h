/*
 * The parts of the world in virtual time. Whatever is asked for happens a microsecond later at the
 * earliest, so that time moves whatever the callbacks do.
 */
#ifndef SIM_PRIV_H
#define SIM_PRIV_H

#include "loop_priv.h"

struct sim_conn;
struct sim_handle;
struct sim_listener;
struct sim_loop;

/* Something that will happen on a loop. A node of a pairing heap, so that to plan it cannot fail.
 */
struct sim_event {
	struct sim_loop *loop;
	void (*fire)(void *owner);
	void *owner;
	bool planned;
	int64_t due_us;
	uint64_t tie;   /* chance decides among those due at once */
	uint64_t order; /* of planning */
	struct sim_event *child, *sibling;
	struct sim_event *before; /* the parent, or the sibling before; NULL at the root */
};

struct sim {
	struct sim_options options;
	uint64_t random;
	int64_t now_us;
	uint64_t order;
	struct sim_loop *turn; /* whose turn it is, NULL outside sim_run */
	struct sim_loop *loops;
	struct sim_listener *listeners;
	struct sim_conn *unowned_first, *unowned_last; /* sockets that no loop has opened */
	int socket_last;
	uint16_t port_last;
};

struct sim_loop {
	struct loop loop;
	struct sim *sim;
	struct sim_loop *next;
	struct sim_event *events; /* the root: what is due first */
	uint64_t random;
	bool stalled;
	bool freeing; /* as in the real loop */
	struct loop_posted *posts_first, *posts_last;
	struct sim_event posted;
	struct sim_event deferred; /* a turn for work deferred outside of one */
	size_t works_count;
	struct sim_handle *handles;
	struct sim_conn *conns;
};

static inline struct sim_loop *sim_of(struct loop *loop)
{
	return (struct sim_loop *)loop;
}

/* ---- event_sim.c ---- */

void sim_event_plan(struct sim_event *event, int64_t due_us); /* moves it if it is planned */
void sim_event_cancel(struct sim_event *event);
bool sim_event_is_first(const struct sim_event *a, const struct sim_event *b);
uint64_t sim_mix(uint64_t *state);
int64_t sim_soon(struct sim *sim);                /* a microsecond from now */
int64_t sim_after_delay(struct sim *sim);         /* that, and a random delay */
void sim_check_turn(const struct sim_loop *loop); /* a debug check: nobody else's turn */

/* ---- conn_sim.c ---- */

enum sim_conn_state { SIM_CONNECTING, SIM_WAITING, SIM_OPEN, SIM_ENDING };

struct sim_chunk {
	struct sim_chunk *next;
	int64_t due_us;
	size_t size;
	char data[];
};

/* Bytes under way to a connection. */
struct sim_pipe {
	struct sim_chunk *first, *last;
	size_t bytes;
	int64_t last_due_us;
	bool ended; /* nothing follows, and at last_due_us the reader learns it */
};

struct sim_conn {
	struct loop_conn conn;
	struct sim *sim;
	enum sim_conn_state state;
	enum err why;
	bool paused;
	bool want_write;
	struct sim_conn *peer; /* NULL before they meet, and once either end has closed */
	struct sim_pipe in;
	struct sim_event step;           /* connecting, ending */
	struct sim_event arrival;        /* bytes or the end have come */
	struct sim_event writable;       /* there is room again */
	struct address address;          /* to connect to */
	int socket;                      /* of a waiting one */
	struct sim_listener *listener;   /* that has not accepted it yet */
	struct sim_conn *before, *after; /* in a loop's `conns`, or in `unowned` */
};

enum err sim_connect(struct loop *base, const char *text, const struct loop_conn_events *events,
	void *ctx, struct loop_conn **ret_conn) MUST_CHECK;
enum err sim_conn_open(struct loop *base, int socket, const struct loop_conn_events *events,
	void *ctx, struct loop_conn **ret_conn) MUST_CHECK;
enum err sim_conn_write(struct loop_conn *base, const struct iovec *pieces, size_t count,
	size_t *ret_taken) MUST_CHECK;
void sim_conn_pause(struct loop_conn *base, bool paused);
void sim_conn_close(struct loop_conn *base);
void sim_conn_drop(
	struct sim_conn *conn); /* a waiting one: its peer sees the end, its memory goes */
void sim_socket_close(struct loop *loop, int socket);

/* ---- listen_sim.c ---- */

struct sim_listener {
	struct loop_listener listener;
	struct address address;
	struct sim_event accept;
	bool accepting; /* in its callback: */
	bool freed;     /* the memory goes afterwards */
	struct sim_listener *next;
};

enum err sim_listen(struct loop *base, const char *text, loop_accepted_fn accepted, void *ctx,
	struct loop_listener **ret_listener, struct err_info *info) MUST_CHECK;
void sim_listener_free(struct loop_listener *base);
void sim_address_normalise(struct address *address, const char *any_host);
struct sim_listener *sim_listener_find(struct sim *sim, const struct address *address);

#endif
