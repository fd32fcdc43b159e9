/*
 * What the files of the client share: client.c has the connection and makes it again, client_take.c
 * what comes on it, client_table.c the subscriptions and how they are asked for.
 */
#ifndef REMOTE_CLIENT_PRIV_H
#define REMOTE_CLIENT_PRIV_H

#include "remote.h"

/* What a server of gRPC takes if nobody has told it otherwise. */
#define PEER_BYTES_MAX (4U << 20)

/* Who the server is. */
enum acquaintance {
	SERVER_UNKNOWN, /* it has not answered yet */
	SERVER_ORIGINAL,
	SERVER_EXTENDED,
};

/* A ring through its own head; an item's links stand first in it. */
struct links {
	struct links *next, *previous;
};

enum subscription_state {
	SUBSCRIPTION_UNSENT,  /* to be asked for on this connection */
	SUBSCRIPTION_ASKED,   /* to be answered */
	SUBSCRIPTION_LIVE,    /* accepted */
	SUBSCRIPTION_LEAVING, /* accepted, and the unsubscribe is to be sent */
};

/* One that the consumer wants, or whose end the server is still to be told. */
struct subscription {
	struct links links; /* in the list of its state */
	enum subscription_state state;
	bool is_told;     /* the consumer knows that it was accepted */
	bool is_unwanted; /* ASKED: the consumer has taken it back */
	bool is_waiting;  /* it counts as waiting */
	uint64_t bulk;    /* ASKED: by which bulk; 0: alone */
	struct bytes id;
	struct bytes message; /* the request; ours */
	struct bytes again;   /* asked for anew before the old one was gone; ours, or empty */
};

/* What has come so far of an event that comes in parts, with its document or without. */
struct parts {
	struct event *event; /* NULL: nothing */
	struct buffer ids;
};

struct remote_client {
	struct loop *loop;
	struct remote_client_options options; /* its texts are in `texts` */
	char *texts;
	struct stream *stream;
	struct loop_timer *timer; /* waiting: the end of it; else heartbeats and silence */
	struct arena arena;       /* of the message that came last */
	struct arena sending;     /* of a request on its way out */
	struct buffer encoded;    /* a message on its way out */
	struct buffer requests;   /* a bulk's */
	loop_fn closed;
	void *closed_ctx;
	struct loop_posted gone;

	/* Over all connections. */
	bool has_ended;    /* for good */
	bool is_waiting;   /* for the next connection */
	bool is_told_away; /* the consumer knows that there is no connection */
	bool may_replay;   /* the consumer has registered everything; else it is still to say so */
	bool has_begun;    /* there is something to be missed */
	bool owes_gap;     /* something may have been missed, which is still to be told */
	_Atomic int is_paused; /* nothing is read, or no connection made, until there is room */
	int64_t backoff_us;    /* before jitter, for the next break */
	int64_t wait_us;       /* of this one */
	char position[REMOTE_POSITION_BYTES_MAX]; /* the newest that has been queued */
	size_t position_size;

	/* Of this connection. */
	struct grpc_client *grpc; /* NULL: it is gone */
	struct grpc_call *call;   /* NULL: over, or given up */
	bool is_open;             /* the socket is there */
	bool is_going_away;       /* the server has said so */
	bool has_registered;      /* the server knows that it has all subscriptions */
	enum acquaintance server;
	uint32_t peer_bytes_max; /* of a message that the server takes */
	int64_t heartbeat_us;
	int64_t heartbeat_at_us;  /* when the next one is due */
	int64_t heard_us;         /* when the last message came */
	struct parts whole, bare; /* of one event */

	/* The table. */
	struct map subscriptions;
	struct links unsent, asked, live, leaving;
	size_t unconfirmed; /* told, but not LIVE on this connection */
	size_t waiting_bytes;
	uint64_t bulks; /* sent so far */
};

/* ---- client.c ---- */

/* Gives the connection up and makes another after a while. */
void client_break_off(struct remote_client *client, const char *why);
enum err client_send_heartbeat(struct remote_client *client, bool is_registered) MUST_CHECK;
/* The server has made itself known. */
enum err client_meet(struct remote_client *client, enum acquaintance server) MUST_CHECK;
void client_note_position(struct remote_client *client, struct bytes position);

/* ---- client_take.c ---- */

void client_on_message(void *ctx, struct bytes bytes); /* of the call */
void client_drop_parts(struct remote_client *client);  /* of an event whose rest will not come */

/* ---- client_table.c ---- */

void client_table_init(struct remote_client *client);
void client_table_fini(struct remote_client *client);
/* Of what has been asked for nothing is known any more: all is to be asked for again. */
void client_table_restart(struct remote_client *client);
enum err client_subscribe(
	struct remote_client *client, struct bytes id, struct bytes message) MUST_CHECK;
void client_unsubscribe(struct remote_client *client, struct bytes id);
enum err client_answered(
	struct remote_client *client, const struct model_answer *answer) MUST_CHECK;
enum err client_bulk_answered(
	struct remote_client *client, const struct model_bulk_answer *answer) MUST_CHECK;
/* Sends what the call has room for, and tells what is due when all is asked for, or answered. */
void client_send(void *ctx);

#endif
