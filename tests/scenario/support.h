/*
 * A whole engine on loops in virtual time: ingest and acceptor on one loop, each worker on its own,
 * as src/node puts them on threads; a Puller and gateways with loops of theirs. Everything runs on
 * the test's thread, in an order, with delays and in pieces that the seed gives.
 *
 * The changes are numbered from 0 and known by their number alone (source_fact), so a naive model
 * of who gets what is a loop over numbers (gateway_check).
 */
#ifndef SCENARIO_SUPPORT_H
#define SCENARIO_SUPPORT_H

#include "grpc.h"
#include "ingest.h"
#include "loop.h"
#include "metrics.h"
#include "random.h"
#include "state.h"
#include "wire.h"
#include "worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000)
#define SECOND (1000 * MS)
/* What a history keeps unless the options say less: all. */
#define HISTORY_EVENTS 100000
#define HISTORY_AGE_US (INT64_MAX / 2)
#define ENGINE_ADDRESS "localhost:50052"
#define PULLER_ADDRESS "localhost:9000"

enum { WORKERS_MAX = 3, GATEWAYS_MAX = 8, IDS_MAX = 64, LIVES_MAX = 64 };

/* ---- the Puller, in source.c ----------------------------------------------------------------- */

/* What change number `number` is: an insert into "users" or "orders", with a field `n`. */
struct source_fact {
	const char *collection;
	unsigned document; /* its id is "u<document>" */
	unsigned n;
};
struct source_fact source_fact(uint64_t number);
uint64_t source_number(struct bytes event_id);

struct source_call {
	struct source *source;
	struct grpc_call *call;
	uint64_t next; /* number of the change to be sent next */
	bool asked;
	bool has_marker;  /* its subscriber has one, or has been sent one: */
	int64_t first_us; /* when */
};

struct source {
	struct world *world;
	struct loop *loop;
	struct loop_listener *listener;
	struct grpc_server_conn *conn; /* the newest */
	struct source_call *call;      /* the newest; NULL: none is open */
	unsigned conns_open, calls;
	uint64_t count;      /* changes that have happened */
	size_t pad;          /* bytes that a document is the larger by */
	uint64_t resumed_at; /* what the newest subscriber asked for */
	uint64_t group;      /* so many changes are a transaction, of one cluster time; 0: one */
	bool is_stalled;
	bool begins_now;    /* for who has no marker; else with the first change */
	uint64_t kept_from; /* the changes before are forgotten: their markers are refused */
	unsigned refuses;   /* so many more markers */
	/* These are forgotten, without a word: what follows comes instead. */
	uint64_t lost_from, lost_until;
	/* For all that an engine can know: a marker was refused, a connection ended before it had
	 * one, or nothing was heard for long. */
	bool may_have_lost;
	int64_t heard_us; /* when it has sent something last */
};

void source_open(struct world *world);
void source_close(struct world *world);
void source_emit(struct world *world, uint64_t count); /* so many more changes happen */
void source_beat(struct world *world);                 /* a heartbeat, if nothing is under way */
void source_stall(struct world *world, bool stalled);  /* it takes no turn until it goes on */
/* The connection is lost, now, if there is one. */
void source_cut(struct world *world);
void source_listen(struct world *world, bool listens);

/* ---- gateways, in gateway.c ------------------------------------------------------------------ */

/* What a subscription asks for. Its id is "s<number>"; numbers are below IDS_MAX. */
enum ask_kind { ASK_ALL, ASK_N_IS, ASK_N_ABOVE, ASK_DOCUMENT };
struct ask {
	enum ask_kind kind;
	const char *collection;
	unsigned value;
	bool omits; /* the document */
};

struct record { /* a delivery */
	uint64_t number;
	uint64_t ids; /* a bit for each */
};

struct gateway {
	struct world *world;
	struct loop *loop;
	struct grpc_client *client; /* NULL: closed */
	struct grpc_call *call;     /* NULL: over */
	struct ask asks[IDS_MAX];
	/* changes that it must get: from those that happened after the answer came, to those that
	 * were routed before the unsubscribe went */
	uint64_t from[IDS_MAX], until[IDS_MAX];
	uint64_t accepted, refused;     /* bits: answers */
	size_t answered_after[IDS_MAX]; /* deliveries that came before the answer */
	struct record *records;
	size_t records_count, records_capacity;
	unsigned acks;
	enum grpc_status status; /* of the end */
	char text[200];
};

struct gateway *gateway_open(struct world *world); /* its connection and call are under way */
void gateway_subscribe(struct gateway *gateway, unsigned id, struct ask ask);
void gateway_unsubscribe(struct gateway *gateway, unsigned id);
void gateway_heartbeat(struct gateway *gateway);
void gateway_close(struct gateway *gateway); /* drops the connection */
void gateway_free(struct gateway *gateway);  /* before world_close, or by it */

struct ask ask_random(struct world *world);
bool ask_matches(const struct ask *ask, uint64_t number);
/* As one subscribe, or as one of a bulk. */
void ask_encode(struct buffer *buffer, unsigned id, const struct ask *ask,
	enum err (*encode)(struct buffer *, const struct model_subscription *));
unsigned ask_id(struct bytes id); /* its number */
/*
 * It must have got, in order and each once, what the model says of the changes below `until`. Where
 * a subscription begins or ends while changes are under way it may have got more, but then without
 * a gap.
 */
void gateway_check(struct gateway *gateway, uint64_t until);
/* The same for what it has got so far: nothing is missing before the last. */
void gateway_check_prefix(struct gateway *gateway);

/* ---- the engine, in engine.c ----------------------------------------------------------------- */

struct engine_options {
	size_t workers;
	enum ingest_source source; /* INGEST_PUSH, INGEST_PULLER */
	size_t ring_events;
	struct stream_limits stream;
	int64_t drain_us;
	struct history_limits history;
	uint32_t lease_ms;
	int64_t resume_wait_us;
	int64_t retention_us; /* what the Puller is thought to keep */
	bool has_state;       /* it goes on where its life before has ended */
	uint64_t seed;        /* 0: by chance, or TEST_SEED */
};

struct engine_worker {
	struct world *world;
	struct loop *loop;
	struct worker *worker;
	bool is_stalled;
	struct loop_timer *drain_timer;
	int64_t drain_until_us;
	struct loop_posted drain;
};

/* From world_open or world_start to the end, and what the workers were handed in it. */
struct logged {
	uint64_t number; /* of the change; NO_CHANGE: a break in the source */
	int64_t us;      /* when it was handed out */
};
struct life {
	uint64_t epoch;
	struct logged *events; /* by sequence - 1 */
	size_t count, capacity;
	bool inherits; /* it goes on where another has ended, */
	/* which has called its newest change so; NULL: not known */
	const struct life *left_by;
	uint64_t left_at;
	bool is_at_left;      /* that does not come again */
	uint64_t oldest_left; /* by all histories, when it ended */
	uint64_t
		old_until; /* its changes below are history only, as another life has routed them */
	uint64_t begun;    /* and these lives before it have got to know */
};
#define NO_CHANGE UINT64_MAX

struct world {
	struct test_random random;
	struct engine_options options;
	struct sim *sim;
	struct log log; /* with TEST_TRACE in the environment what happens is told on stderr */
	struct metrics metrics;
	struct interest *interest;
	struct loop *loop;
	struct loop_waker *routed_waker;
	struct loop_listener *listener;
	struct ingest *ingest;
	struct engine_worker workers[WORKERS_MAX];
	size_t next_worker, workers_closed;
	bool held, is_stopping, ingest_stopped, is_draining;
	uint64_t sequence; /* newest event handed to the workers */
	struct state *state;
	char folder[64]; /* of the state; empty: none */
	struct life lives[LIVES_MAX];
	size_t lives_count; /* the newest is under way, unless the workers have closed */
	int64_t stalled_us; /* when a worker has stood still last */
	struct source source;
	struct gateway gateways[GATEWAYS_MAX];
	size_t gateways_count;
};

/* Two workers, a Puller, room for all, delays and pieces by chance. */
struct engine_options engine_options(void);
struct world *world_open(const struct engine_options *options);
/* Stops and frees what the test has not. */
void world_close(struct world *world);
/* Virtual time goes on; what must hold at any time is checked on the way. */
void world_run(struct world *world, int64_t us);
void world_stall(struct world *world, size_t worker, bool stalled);
/* Until all changes have been routed by all workers and nothing is under way any more. */
void world_settle(struct world *world);
/* A change through ingest_push; ERR_FULL. */
enum err world_push(struct world *world);
/* Stop reading, route what has come, let gateways take what is queued: begins, world_run goes on.
 */
void world_stop(struct world *world);
bool world_has_stopped(const struct world *world);
/* As kill -9: nothing more is saved, and its connections end; what it has sent `arrives`, or not.
 */
void world_kill(struct world *world, bool arrives);
void world_bury(struct world *world);             /* what has stopped */
void world_start(struct world *world);            /* its next life */
void world_forget(struct world *world);           /* what is on disk, between two lives */
uint64_t world_routed(const struct world *world); /* by all */
/*
 * Changes up to a place in the log of a life: those below this number. Where no change stands, up
 * to the one before, or to the one behind, which may be yet to come: NO_CHANGE.
 */
uint64_t life_after(const struct life *life, uint64_t sequence);
uint64_t life_until(const struct life *life, uint64_t sequence);
const struct life *world_life(const struct world *world); /* the newest */
uint64_t world_marker(const struct world *world); /* changes that it would not ask for again */
int64_t world_figure(const struct world *world, enum metric metric);

/* A test for 1 and for 2 workers. */
#define WITH_WORKERS(name)                                                                         \
	static void name##_1(void **state)                                                         \
	{                                                                                          \
		(void)state;                                                                       \
		name(1);                                                                           \
	}                                                                                          \
	static void name##_2(void **state)                                                         \
	{                                                                                          \
		(void)state;                                                                       \
		name(2);                                                                           \
	}

#endif
