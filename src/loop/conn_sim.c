/*
 * Connections in memory: two ends that know each other, and at each end the bytes under way to it,
 * in pieces with the moment of their arrival, never earlier than the piece before. An end that
 * closes lets go of its peer: what the peer still writes is taken and lost, as by a network.
 */
#include "sim_priv.h"

#include <stdio.h>
#include <string.h>

/* ---- pipes ---- */

static void pipe_clear(struct sim_pipe *pipe)
{
	while (pipe->first) {
		struct sim_chunk *chunk = pipe->first;
		pipe->first = chunk->next;
		mem_free(chunk);
	}
	pipe->last = NULL;
	pipe->bytes = 0;
}

/* In order: nothing overtakes what was sent before. */
static int64_t pipe_due(struct sim *sim, struct sim_pipe *pipe)
{
	int64_t due_us = sim_after_delay(sim);
	if (due_us < pipe->last_due_us) {
		due_us = pipe->last_due_us;
	}
	pipe->last_due_us = due_us;
	return due_us;
}

static enum err pipe_push(struct sim *sim, struct sim_pipe *pipe, const char *data, size_t size)
{
	struct sim_chunk *chunk = mem_alloc(sizeof(*chunk) + size);
	if (!chunk) {
		return ERR_MEMORY;
	}
	*chunk = (struct sim_chunk){.due_us = pipe_due(sim, pipe), .size = size};
	memcpy(chunk->data, data, size);
	if (pipe->last) {
		pipe->last->next = chunk;
	} else {
		pipe->first = chunk;
	}
	pipe->last = chunk;
	pipe->bytes += size;
	return OK;
}

static struct sim_chunk *pipe_pop(struct sim_pipe *pipe)
{
	struct sim_chunk *chunk = pipe->first;
	pipe->first = chunk->next;
	if (!pipe->first) {
		pipe->last = NULL;
	}
	pipe->bytes -= chunk->size;
	return chunk;
}

/* ---- lists ---- */

static void unlink_conn(struct sim_conn *conn)
{
	struct sim *sim = conn->sim;
	struct sim_conn **first =
		conn->conn.loop ? &sim_of(conn->conn.loop)->conns : &sim->unowned_first;
	if (conn->before) {
		conn->before->after = conn->after;
	} else {
		*first = conn->after;
	}
	if (conn->after) {
		conn->after->before = conn->before;
	} else if (!conn->conn.loop) {
		sim->unowned_last = conn->before;
	}
	conn->before = NULL;
	conn->after = NULL;
}

static void link_to_loop(struct sim_conn *conn)
{
	struct sim_loop *loop = sim_of(conn->conn.loop);
	conn->after = loop->conns;
	if (conn->after) {
		conn->after->before = conn;
	}
	loop->conns = conn;
	conn->step.loop = loop;
	conn->arrival.loop = loop;
	conn->writable.loop = loop;
}

static void link_to_unowned(struct sim_conn *conn)
{
	struct sim *sim = conn->sim;
	conn->before = sim->unowned_last;
	if (conn->before) {
		conn->before->after = conn;
	} else {
		sim->unowned_first = conn;
	}
	sim->unowned_last = conn;
}

/* ---- ending ---- */

static void fini_conn(struct sim_conn *conn)
{
	conn->state = SIM_ENDING;
	unlink_conn(conn);
	sim_event_cancel(&conn->step);
	sim_event_cancel(&conn->arrival);
	sim_event_cancel(&conn->writable);
	pipe_clear(&conn->in);
}

/* In the turn. */
static void end_now(struct sim_conn *conn, enum err why)
{
	fini_conn(conn);
	conn->conn.events.closed(conn->conn.ctx, why);
	mem_free(conn);
}

/* One that waits for its loop ends when it is opened. */
static void end_later(struct sim_conn *conn, enum err why, int64_t due_us)
{
	if (conn->state == SIM_ENDING) {
		return;
	}
	conn->state = SIM_ENDING;
	conn->why = why;
	pipe_clear(&conn->in);
	sim_event_cancel(&conn->arrival);
	sim_event_cancel(&conn->writable);
	if (conn->conn.loop) {
		sim_event_plan(&conn->step, due_us);
	}
}

/* ---- bytes ---- */

static void plan_arrival(struct sim_conn *conn)
{
	if (conn->state != SIM_OPEN || conn->paused || (!conn->in.first && !conn->in.ended)) {
		sim_event_cancel(&conn->arrival);
		return;
	}
	int64_t due_us = conn->in.first ? conn->in.first->due_us : conn->in.last_due_us;
	int64_t soon_us = sim_soon(conn->sim);
	sim_event_plan(&conn->arrival, due_us > soon_us ? due_us : soon_us);
}

static void plan_writable(struct sim_conn *conn)
{
	if (conn->state == SIM_OPEN && conn->want_write && !conn->writable.planned) {
		sim_event_plan(&conn->writable, sim_after_delay(conn->sim));
	}
}

/* Lets the peer go: to it the end is under way, behind all bytes. */
static void leave_peer(struct sim_conn *conn)
{
	struct sim_conn *peer = conn->peer;
	if (!peer) {
		return;
	}
	conn->peer = NULL;
	peer->peer = NULL;
	peer->in.ended = true;
	(void)pipe_due(conn->sim, &peer->in);
	if (peer->state == SIM_OPEN) {
		if (!peer->in.first) {
			plan_arrival(peer);
		}
		plan_writable(peer);
	}
}

static void arrived(void *owner)
{
	struct sim_conn *conn = owner;
	struct sim *sim = conn->sim;
	bool more = true;
	while (more && conn->state == SIM_OPEN && !conn->paused && conn->in.first &&
		conn->in.first->due_us <= sim->now_us) {
		struct sim_chunk *chunk = pipe_pop(&conn->in);
		if (conn->peer) {
			plan_writable(conn->peer);
		}
		conn->conn.events.read(conn->conn.ctx, (struct bytes){chunk->data, chunk->size});
		mem_free(chunk);
		more = sim_mix(&sim->random) % 4 !=
			0; /* now and then the rest comes in another turn */
	}
	if (conn->state == SIM_OPEN && !conn->paused && !conn->in.first && conn->in.ended &&
		conn->in.last_due_us <= sim->now_us) {
		end_now(conn, OK);
		return;
	}
	plan_arrival(conn);
}

static void became_writable(void *owner)
{
	struct sim_conn *conn = owner;
	if (conn->want_write) {
		conn->want_write = false;
		conn->conn.events.writable(conn->conn.ctx);
	}
}

/* Pieces of the peer's world: of a random size, or as they were written. */
static size_t chunk_size(struct sim *sim, size_t left)
{
	if (sim->options.chunk_bytes_max == 0) {
		return left;
	}
	size_t size = 1 + (size_t)(sim_mix(&sim->random) % sim->options.chunk_bytes_max);
	return size < left ? size : left;
}

/* At most `room` bytes; how many were taken. */
static size_t push_piece(struct sim_conn *peer, const struct iovec *piece, size_t room)
{
	size_t size = piece->iov_len < room ? piece->iov_len : room;
	size_t taken = 0;
	while (taken < size) {
		size_t part = chunk_size(peer->sim, size - taken);
		if (pipe_push(peer->sim, &peer->in, (const char *)piece->iov_base + taken, part)) {
			break;
		}
		taken += part;
	}
	return taken;
}

enum err sim_conn_write(
	struct loop_conn *base, const struct iovec *pieces, size_t count, size_t *ret_taken)
{
	struct sim_conn *conn = (struct sim_conn *)base;
	struct sim_conn *peer = conn->peer;
	sim_check_turn(sim_of(base->loop));
	if (conn->state == SIM_ENDING) {
		return ERR_CLOSED;
	}
	bool was_empty = peer && !peer->in.first;
	bool refused = false;
	size_t taken = 0;
	for (size_t i = 0; i < count && !refused; i++) {
		size_t piece_taken = pieces[i].iov_len;
		if (conn->state == SIM_CONNECTING) {
			piece_taken = 0;
		} else if (peer) {
			size_t room = conn->sim->options.pipe_bytes - peer->in.bytes;
			piece_taken = push_piece(peer, &pieces[i], room);
		}
		taken += piece_taken;
		refused = piece_taken < pieces[i].iov_len;
	}
	if (was_empty && taken > 0) {
		plan_arrival(peer);
	}
	if (refused) {
		conn->want_write = true;
		if (peer && peer->in.bytes < conn->sim->options.pipe_bytes) {
			plan_writable(conn); /* for lack of memory only */
		}
	}
	*ret_taken = taken;
	return OK;
}

void sim_conn_pause(struct loop_conn *base, bool paused)
{
	struct sim_conn *conn = (struct sim_conn *)base;
	sim_check_turn(sim_of(base->loop));
	if (conn->paused != paused) {
		conn->paused = paused;
		plan_arrival(conn);
	}
}

void sim_conn_close(struct loop_conn *base)
{
	struct sim_conn *conn = (struct sim_conn *)base;
	sim_check_turn(sim_of(base->loop));
	end_later(conn, OK, sim_soon(conn->sim));
	leave_peer(conn);
}

void sim_conn_drop(struct sim_conn *conn)
{
	leave_peer(conn);
	fini_conn(conn);
	mem_free(conn);
}

void sim_cut(struct sim *sim, struct loop_conn *conn)
{
	struct sim_conn *own = (struct sim_conn *)conn;
	struct sim_conn *peer = own->peer;
	bool was_connecting = own->state == SIM_CONNECTING;
	own->peer = NULL;
	end_later(own, was_connecting ? ERR_UNAVAILABLE : ERR_IO, sim_after_delay(sim));
	if (peer) {
		peer->peer = NULL;
		end_later(peer, ERR_IO, sim_after_delay(sim));
	}
}

void sim_kill(struct loop *loop, bool arrives)
{
	struct sim *sim = sim_of(loop)->sim;
	for (struct sim_conn *conn = sim_of(loop)->conns; conn; conn = conn->after) {
		if (arrives) {
			leave_peer(conn);
		}
		sim_cut(sim, &conn->conn);
	}
}

/* ---- opening ---- */

static void stepped(void *owner);

static struct sim_conn *conn_new(struct sim *sim)
{
	struct sim_conn *conn = mem_calloc(1, sizeof(*conn));
	if (conn) {
		conn->sim = sim;
		conn->step = (struct sim_event){.fire = stepped, .owner = conn};
		conn->arrival = (struct sim_event){.fire = arrived, .owner = conn};
		conn->writable = (struct sim_event){.fire = became_writable, .owner = conn};
	}
	return conn;
}

/* The listener's side is there before anybody accepts it, as in the kernel's queue. */
static void meet(struct sim_conn *conn)
{
	struct sim *sim = conn->sim;
	struct sim_listener *listener = sim_listener_find(sim, &conn->address);
	struct sim_conn *waiting = listener ? conn_new(sim) : NULL;
	if (!waiting) {
		end_now(conn, ERR_UNAVAILABLE);
		return;
	}
	waiting->state = SIM_WAITING;
	waiting->listener = listener;
	waiting->socket = ++sim->socket_last;
	(void)snprintf(waiting->conn.peer, sizeof(waiting->conn.peer), "127.0.0.1:%d",
		32768 + waiting->socket % 16384);
	link_to_unowned(waiting);
	waiting->peer = conn;
	conn->peer = waiting;
	conn->state = SIM_OPEN;
	if (!listener->accept.planned) {
		sim_event_plan(&listener->accept, sim_soon(sim));
	}
	plan_writable(conn);
	conn->conn.events.opened(conn->conn.ctx);
}

static void stepped(void *owner)
{
	struct sim_conn *conn = owner;
	if (conn->state == SIM_CONNECTING) {
		meet(conn);
	} else {
		end_now(conn, conn->why);
	}
}

enum err sim_connect(struct loop *base, const char *text, const struct loop_conn_events *events,
	void *ctx, struct loop_conn **ret_conn)
{
	struct sim_loop *loop = sim_of(base);
	sim_check_turn(loop);
	struct address address;
	enum err err = address_parse(text, &address, NULL);
	if (err) {
		return err;
	}
	if (loop->freeing) {
		return ERR_CLOSED;
	}
	struct sim_conn *conn = conn_new(loop->sim);
	if (!conn) {
		return ERR_MEMORY;
	}
	sim_address_normalise(&address, "127.0.0.1");
	conn->conn = (struct loop_conn){.loop = base, .events = *events, .ctx = ctx};
	(void)snprintf(conn->conn.peer, sizeof(conn->conn.peer), "%s", text);
	conn->state = SIM_CONNECTING;
	conn->address = address;
	link_to_loop(conn);
	sim_event_plan(&conn->step, sim_after_delay(loop->sim));
	*ret_conn = &conn->conn;
	return OK;
}

static struct sim_conn *find_accepted(const struct sim *sim, int socket)
{
	struct sim_conn *conn = sim->unowned_first;
	while (conn && conn->socket != socket) {
		conn = conn->after;
	}
	check(conn && !conn->listener); /* accepted, and neither opened nor closed yet */
	return conn;
}

enum err sim_conn_open(struct loop *base, int socket, const struct loop_conn_events *events,
	void *ctx, struct loop_conn **ret_conn)
{
	struct sim_loop *loop = sim_of(base);
	sim_check_turn(loop);
	struct sim_conn *conn = find_accepted(loop->sim, socket);
	if (loop->freeing) {
		sim_conn_drop(conn);
		return ERR_CLOSED;
	}
	unlink_conn(conn);
	conn->conn.loop = base;
	conn->conn.events = *events;
	conn->conn.ctx = ctx;
	link_to_loop(conn);
	if (conn->state == SIM_ENDING) { /* cut while it waited */
		sim_event_plan(&conn->step, sim_soon(conn->sim));
	} else {
		conn->state = SIM_OPEN;
		plan_arrival(conn);
	}
	*ret_conn = &conn->conn;
	return OK;
}

void sim_socket_close(struct loop *loop, int socket)
{
	sim_conn_drop(find_accepted(sim_of(loop)->sim, socket));
}
