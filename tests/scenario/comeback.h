/*
 * Gateways that come back: whatever ends their stream, they open another after a while, say Hello
 * with the newest position that they have, and register again; or, of the original's kind, begin
 * anew. Each has an account of what it is owed and what it has got, which judges all that comes, at
 * once: what is wrong ends the test.
 */
#ifndef SCENARIO_COMEBACK_H
#define SCENARIO_COMEBACK_H

#include "support.h"

#include <stdio.h>

/* ---- the account, in account.c --------------------------------------------------------------- */

/* A place in the log of a life. */
struct place {
	const struct life *life; /* NULL: unknown */
	uint64_t sequence;
};

/* The changes from one place to another, none of which can have happened after it was told. */
struct cover {
	struct place after, until;
	uint64_t most;
};

struct account {
	const struct world *world;
	const char *name;
	const struct ask *asks;
	bool is_original;
	int64_t opened_us; /* this stream */
	uint64_t answered; /* bits: on this stream */
	uint64_t owed;     /* bits: something is, by some stream */
	struct place since[IDS_MAX];
	uint64_t since_most[IDS_MAX]; /* at the latest: so many changes had happened then */
	uint64_t settled[IDS_MAX];    /* all changes below this number are accounted for */
	uint64_t *done;               /* by number: the subscriptions that have got it */
	uint64_t done_capacity;
	struct cover *covers; /* gaps */
	size_t covers_count, covers_capacity;
	uint64_t least[IDS_MAX]; /* what comes on this stream is not below */
	uint64_t next;           /* the same for all of it: it grows */
	uint64_t last;           /* number of the newest delivery of this stream; NO_CHANGE: none */
	bool is_part;            /* and more of it follows */
	bool has_lapsed;         /* nobody waits any more until all is registered */
	uint64_t deliveries, replayed, repeats, gaps;
};

void account_open(struct account *account, struct bytes after); /* a stream; empty: anew */
void account_fini(struct account *account);
/* Accepted; `live_after` is empty for one of the original's kind. */
void account_answer(struct account *account, unsigned id, struct bytes live_after);
void account_drop(struct account *account, unsigned id);
void account_delivery(struct account *account, uint64_t number, uint64_t ids, bool has_document,
	const struct model_mark *mark);
void account_gap(struct account *account, const struct model_gap *gap);
/* An acknowledgement: everything up to there has been written. How many changes that are. */
uint64_t account_claim(struct account *account, struct bytes position);
/* All that is owed of the changes below `count` has come. */
void account_settle(struct account *account, uint64_t count, const char *when);

#define account_trace(account, ...)                                                                \
	do {                                                                                       \
		if ((account)->world->log.fd >= 0) {                                               \
			(void)fprintf(stderr,                                                      \
				"%10lld %s: ", (long long)sim_now_us((account)->world->sim),       \
				(account)->name);                                                  \
			(void)fprintf(stderr, __VA_ARGS__);                                        \
			(void)fprintf(stderr, "\n");                                               \
		}                                                                                  \
	} while (0)
/* Prints who, what and the seed, and ends the test. */
#define account_fail(account, ...)                                                                 \
	do {                                                                                       \
		(void)fprintf(stderr, "\n%s: ", (account)->name);                                  \
		(void)fprintf(stderr, __VA_ARGS__);                                                \
		(void)fprintf(stderr, "\nTEST_SEED=%llu TEST_ROUNDS=1 shows it again\n",           \
			(unsigned long long)(account)->world->options.seed);                       \
		fail();                                                                            \
	} while (0)

/* ---- the gateway, in comeback.c -------------------------------------------------------------- */

struct habits {
	bool is_original;     /* says no Hello */
	bool waits;           /* for the Welcome, before it asks for anything */
	unsigned bulk;        /* subscribes of one bulk; 0: one by one */
	bool is_eager;        /* says `registered` with the subscribes, ahead of their answers */
	bool never_registers; /* its lease runs out instead */
	bool trusts_acks;     /* takes their positions for its own */
	int64_t beat_us;      /* between heartbeats */
	int64_t away_us;      /* at most, before it comes back */
};

struct comeback {
	struct world *world;
	struct loop *loop;
	struct loop_timer *beat, *again;
	struct grpc_client *client;
	struct grpc_call *call;
	struct habits habits;
	char name[24];
	struct ask asks[IDS_MAX];
	unsigned asks_count; /* ids that it has used */
	uint64_t wanted;     /* bits */
	char position[MODEL_POSITION_SIZE], older[MODEL_POSITION_SIZE];
	size_t position_size, older_size;
	bool forgets; /* them, at its next stream */
	/* Of this stream: */
	int64_t opened_us;
	uint64_t asked; /* bits */
	bool has_asked, has_said_registered, is_welcome, has_gap_ahead, is_silent, is_half_closed;
	uint64_t claimed; /* changes, by its newest acknowledgement */
	struct account account;
	unsigned ends[GRPC_UNAUTHENTICATED + 1]; /* by status */
	unsigned streams, resumed, welcome_gaps;
};

void comeback_open(struct comeback *comeback, struct world *world, const struct habits *habits,
	const char *name);
void comeback_free(struct comeback *comeback);
void comeback_subscribe(struct comeback *comeback, struct ask ask);
void comeback_unsubscribe(struct comeback *comeback, unsigned id);
/* Forgets its position, and all that was owed to it, at its next stream. */
void comeback_forget(struct comeback *comeback);
void comeback_remember(struct comeback *comeback); /* a position to go back to */
void comeback_go_back(struct comeback *comeback);  /* at its next stream */
void comeback_cut(
	struct comeback *comeback, bool arrives); /* its process ends, and another is it */
void comeback_close(struct comeback *comeback);
void comeback_half_close(struct comeback *comeback);
void comeback_pause(struct comeback *comeback, bool paused); /* reads nothing, but speaks */
/*
 * Lets some more changes happen, and time go on, until the workers have routed all and each of them
 * has a stream, has registered all and accounts for all changes.
 */
void comebacks_rest(struct comeback *comebacks, size_t count);

#endif
