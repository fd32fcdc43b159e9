/*
 * Ties a session to a connection of a loop. One flush per turn: it is asked for by whatever has
 * something to send, runs at the turn's end, and is the only place that writes, moves the timer, or
 * closes.
 */
#include "grpc_priv.h"

#define FLUSH_BYTES_MAX (4 * GRPC_OUTPUT_BYTES_MAX) /* then others have their turn */
#define LOG_EVERY_US 10000000                       /* a peer fills no log with its mistakes */

static void wake(void *ctx)
{
	struct grpc_link *link = ctx;
	if (!link->is_closed) {
		loop_defer(link->loop, &link->flush);
	}
}

static void log_complaint(struct grpc_link *link, bool is_last)
{
	struct grpc_session *session = link->session;
	int64_t now_us = loop_now_us(link->loop);
	if (session->complaints == 0 || (now_us < link->log_from_us && !is_last)) {
		return;
	}
	log_write(session->options.log, loop_wall_us(link->loop), LOG_WARNING,
		"grpc: %s, %s=%s complaints=%u", session->complaint, session->options.peer_is,
		session->peer, session->complaints);
	session->complaint[0] = 0;
	session->complaints = 0;
	link->log_from_us = now_us + LOG_EVERY_US;
}

/* Writes until there is nothing to send or no room; says whether it stopped for others' sake. */
static bool write_out(struct grpc_link *link)
{
	size_t written = 0;
	while (!link->is_full && written < FLUSH_BYTES_MAX) {
		struct iovec pieces[GRPC_PIECES_MAX];
		size_t count = 0;
		size_t taken = 0;
		enum err err = grpc_session_pieces(link->session, pieces, GRPC_PIECES_MAX, &count);
		if (err || count == 0) {
			return false;
		}
		size_t size = link->session->output.size; /* all of it stands in the pieces */
		err = loop_conn_write(link->conn, pieces, count, &taken);
		if (err) {
			link->why = link->why ? link->why : err;
			link->is_closing = true;
			return false;
		}
		grpc_session_sent(link->session, taken);
		written += taken;
		link->is_full = taken < size;
	}
	return !link->is_full;
}

static void close_now(struct grpc_link *link)
{
	link->is_closed = true;
	loop_timer_stop(link->timer);
	loop_undefer(link->loop, &link->flush);
	loop_conn_close(link->conn);
}

/* A timer that fires too early is cheaper than one that is moved at each byte of the peer. */
static void move_timer(struct grpc_link *link, int64_t next_us, int64_t now_us)
{
	if (next_us >= link->timer_us && link->timer_us > now_us) {
		return;
	}
	link->timer_us = next_us;
	if (next_us == INT64_MAX) {
		loop_timer_stop(link->timer);
		return;
	}
	loop_timer_start(link->timer, next_us > now_us ? next_us - now_us : 0);
}

static void hold(struct grpc_link *link)
{
	bool is_choked = link->is_full && grpc_session_is_choked(link->session);
	if (is_choked != link->is_paused) {
		link->is_paused = is_choked;
		loop_conn_pause(link->conn, is_choked);
	}
}

static void flush(void *ctx)
{
	struct grpc_link *link = ctx;
	struct grpc_session *session = link->session;
	if (link->is_closed) {
		return;
	}
	int64_t now_us = loop_now_us(link->loop);
	int64_t next_us = grpc_session_tick(session, now_us);
	bool has_more = link->is_open && write_out(link);
	log_complaint(link, session->failed != OK);
	if (link->is_closing || session->failed || grpc_session_is_done(session)) {
		if (session->failed && !link->why) {
			link->why = session->failed;
		}
		close_now(link);
		return;
	}
	hold(link);
	/* Calls made in callbacks of the writing may have brought nearer deadlines. */
	next_us = next_us < session->next_deadline_us ? next_us : session->next_deadline_us;
	move_timer(link, has_more ? now_us : next_us, now_us);
}

static void on_timer(void *ctx)
{
	struct grpc_link *link = ctx;
	link->timer_us = INT64_MAX;
	flush(link);
}

static void on_opened(void *ctx)
{
	struct grpc_link *link = ctx;
	link->is_open = true;
	wake(link);
	if (link->opened && !link->is_closing) {
		link->opened(link->ctx);
	}
}

static void on_read(void *ctx, struct bytes bytes)
{
	struct grpc_link *link = ctx;
	if (link->is_closed) {
		return;
	}
	enum err err = grpc_session_input(link->session, bytes, loop_now_us(link->loop));
	(void)err; /* flush looks at the session itself: what it still has to say goes first */
	wake(link);
}

static void on_writable(void *ctx)
{
	struct grpc_link *link = ctx;
	link->is_full = false;
	wake(link);
}

static void on_closed(void *ctx, enum err why)
{
	struct grpc_link *link = ctx;
	bool by_us = link->is_closing && !link->why;
	link->is_closed = true;
	link->conn = NULL;
	loop_undefer(link->loop, &link->flush);
	if (!by_us && link->session->options.tells_rest) {
		grpc_session_tell_rest(link->session);
	}
	grpc_session_abandon(link->session, by_us ? GRPC_CANCELLED : GRPC_UNAVAILABLE,
		by_us ? "the connection has been closed" : "the connection is lost");
	metrics_add(link->session->options.metrics, METRIC_grpc_connections, -1);
	log_complaint(link, true);
	why = link->why ? link->why : why;
	link->closed(link->ctx, why);
}

const struct loop_conn_events grpc_link_events = {on_opened, on_read, on_writable, on_closed};

enum err grpc_link_init(struct grpc_link *link, struct loop *loop, struct grpc_session *session)
{
	link->loop = loop;
	link->session = session;
	link->flush = (struct loop_deferred){.fn = flush, .ctx = link};
	link->timer_us = INT64_MAX;
	enum err err = loop_timer_new(loop, on_timer, link, &link->timer);
	if (err) {
		grpc_session_free(session);
		return err;
	}
	(void)grpc_session_tick(session, loop_now_us(loop));
	grpc_session_on_output(session, wake, link);
	metrics_add(session->options.metrics, METRIC_grpc_connections, 1);
	return OK;
}

/* For a link whose connection is gone, or never was. */
void grpc_link_fini(struct grpc_link *link)
{
	loop_undefer(link->loop, &link->flush);
	loop_timer_free(link->timer);
	grpc_session_free(link->session);
}

/* What stands ready is still offered to the socket, GOAWAY behind it, once. */
void grpc_link_close(struct grpc_link *link)
{
	if (link->is_closing || link->is_closed) {
		return;
	}
	link->is_closing = true;
	grpc_session_goaway(link->session);
	wake(link);
}
