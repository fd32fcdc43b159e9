/*
 * What the files of puller share: event ids and progress (marker.c), the sequence of changes and
 * what it is kept in (changes.c, file.c, kept.c), and a subscriber's stream (subscriber.c).
 */
#ifndef PULLER_PRIV_H
#define PULLER_PRIV_H

#include "grpc.h"
#include "puller.h"
#include "wire.h"

#define PULLER_BACKENDS_MAX 256           /* of one sequence, and of one marker */
#define PULLER_KEPT_MAX 65536             /* changes of a source; a power of two */
#define PULLER_KEPT_BYTES_MAX (64 << 20)  /* of them, encoded */
#define PULLER_LINE_BYTES_MAX (128 << 20) /* a longer line is a bad one */
#define PULLER_CONNECTIONS_MAX 1000       /* further ones are turned away */
#define PULLER_CLOSE_US 1000000           /* what subscribers have to read their end */
#define PULLER_HEARTBEAT_US ((int64_t)30 * 1000000)
#define PULLER_BACKEND "default_mongo"

/* ---- event ids and progress (marker.c) ------------------------------------------------------- */

/* "<seconds>-<increment>-<rest>": `tail` is all behind the seconds. */
struct puller_event_id {
	uint32_t seconds, increment;
	struct bytes tail;
};
bool puller_event_id_parse(struct bytes text, struct puller_event_id *ret_id);

/* Where each backend stands, by the order of their names. Zeroed is empty and valid. */
struct puller_point {
	struct buffer backend, event_id;
};
struct puller_progress {
	struct puller_point *points;
	size_t count;
	struct buffer json; /* scratch */
};
void puller_progress_fini(struct puller_progress *progress);
/* ERR_MEMORY; ERR_LIMIT: too many backends. */
enum err puller_progress_set(
	struct puller_progress *progress, struct bytes backend, struct bytes event_id) MUST_CHECK;
/* Appends the marker. */
enum err puller_progress_print(struct puller_progress *progress, struct buffer *buffer) MUST_CHECK;
/* Adds a marker's points; the event ids are not looked at. ERR_CORRUPT and ERR_LIMIT, with text. */
enum err puller_progress_parse(
	struct bytes marker, struct puller_progress *progress, struct err_info *info) MUST_CHECK;

/* ---- the sequence of changes (changes.c) ----------------------------------------------------- */

/* What is known of a change without reading it. */
struct puller_entry {
	uint64_t id_hash; /* of the event id's tail and seconds */
	uint32_t seconds, increment;
	uint32_t backend;
	uint32_t size; /* of the line, or of the encoded change */
	union {
		struct {
			uint64_t offset, line;
		} file;
		struct {
			char *data; /* the encoded change, and its event id behind it */
			size_t id_size;
		} kept;
	} at;
};

/* A change ready to be sent, borrowed until the next one is read. */
struct puller_change {
	struct bytes encoded; /* a PullerEvent without progress, which may be appended */
	struct bytes backend;
	struct bytes event_id;
};

/*
 * Changes have positions that rise by one; those from `first` to before `end` can be read. A file's
 * lines are all known at once, and with `loop` they repeat: each round is a span of positions and
 * of cluster seconds of its own.
 */
struct puller_changes {
	uint64_t first, end;
	struct puller_entry *entries; /* a file's lines in order, or a ring of those kept */
	size_t count, capacity;
	struct buffer backends[PULLER_BACKENDS_MAX]; /* names */
	uint32_t backends_count;
	struct buffer backend; /* where a change names none */
	struct arena arena;
	struct buffer encoded, event_id; /* of the change read last */

	/* a file */
	int fd;             /* -1: `text` has it all */
	struct buffer text; /* that, or the line read last */
	int64_t made_ms;    /* when it was first read: what missing times are made of */
	uint32_t seconds_least, seconds_most;

	/* a source */
	bool has_source;
	struct puller_source source;
	struct model_source_message
		aside; /* from the source, and not kept yet for want of memory */
	bool has_aside;
	bool is_over;
	size_t kept_bytes;
	const struct log *log;
};

void puller_changes_fini(struct puller_changes *changes);
/* Fills an entry but for its size and place. ERR_MEMORY; ERR_INVALID and ERR_LIMIT with text. */
enum err puller_changes_describe(struct puller_changes *changes, const struct model_change *change,
	struct puller_entry *ret_entry, struct err_info *info) MUST_CHECK;
const struct puller_entry *puller_changes_entry(
	const struct puller_changes *changes, uint64_t position);
/* Where a subscriber that has had this event of this backend goes on. */
uint64_t puller_changes_after(const struct puller_changes *changes, struct bytes backend,
	const struct puller_event_id *id);
/* ERR_CORRUPT: the file is not what it was. ERR_MEMORY, ERR_IO. */
enum err puller_changes_read(struct puller_changes *changes, uint64_t position, int64_t now_ms,
	struct puller_change *ret_change, struct err_info *info) MUST_CHECK;

/* file.c: reads and checks every line. `loop`: they repeat. */
enum err puller_file_open(struct puller_changes *changes, const char *path, bool loop,
	struct err_info *info) MUST_CHECK;
enum err puller_file_read(struct puller_changes *changes, uint64_t position, int64_t now_ms,
	struct puller_change *ret_change, struct err_info *info) MUST_CHECK;
uint64_t puller_file_round(const struct puller_changes *changes, const struct puller_event_id *id);
uint32_t puller_file_shift(const struct puller_changes *changes, uint64_t round);

/* kept.c: one more change of the source becomes the newest. ERR_EMPTY: it has none now. */
enum err puller_kept_open(
	struct puller_changes *changes, const struct puller_source *source) MUST_CHECK;
enum err puller_kept_pull(struct puller_changes *changes, int64_t wall_us) MUST_CHECK;
struct puller_change puller_kept_read(const struct puller_changes *changes, uint64_t position);
void puller_kept_drop(struct puller_changes *changes); /* the oldest */

/* ---- the service ----------------------------------------------------------------------------- */

struct puller_subscriber {
	struct puller *puller;
	struct puller_subscriber *next, *previous;
	struct grpc_call *call;
	struct loop_timer *timer; /* for the rate and for heartbeats */
	bool is_started;          /* its request has come */
	bool is_over;             /* its end has been sent */
	bool is_blocked;          /* until its call has room again */
	struct puller_progress progress;
	struct buffer marker; /* as last sent, at first what it came with */
	uint64_t position;    /* of the next change */
	uint64_t *from;       /* by backend: earlier changes are not for it */
	uint32_t from_count;
	int64_t told_us; /* when the last message was sent */
	double due_us;   /* when the rate allows the next change */
	uint64_t sent;
};

struct puller_connection {
	struct puller_connection *next, *previous;
	struct puller *puller;
	struct grpc_server_conn *conn;
};

struct puller {
	struct loop *loop;
	struct puller_options options; /* numbers, log and metrics; texts are not kept */
	struct puller_changes changes;
	struct loop_listener *listener;
	struct puller_connection *connections;
	struct puller_subscriber *subscribers;
	size_t connections_count;
	struct loop_deferred push; /* there may be something for all */
	struct buffer marker;      /* of the change under way, as text */
	struct buffer tail;        /* and encoded */
	struct loop_timer *timer;  /* closing */
	bool is_closing;
	loop_fn closed;
	void *closed_ctx;
};

/* The call becomes a subscriber that lives until it has ended. */
enum grpc_status puller_subscriber_new(struct puller *puller, struct grpc_call *call);
void puller_subscriber_push(struct puller_subscriber *subscriber); /* sends what it can */
void puller_subscriber_end(
	struct puller_subscriber *subscriber, enum grpc_status status, const char *text);

#endif
