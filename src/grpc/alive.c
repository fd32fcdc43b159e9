/*
 * Whether a server's peer is there, and of use. Any byte of it is a sign of life; after a silence
 * it is sent a PING, which every HTTP/2 peer acknowledges however little its application has to
 * say, so that a quiet one is never taken for dead. A connection that carries no call, whether it
 * has not said its preface yet or has had its calls, is closed after a while.
 */
#include "grpc_priv.h"

#include <inttypes.h>

#define LATE_US 1000000 /* we may have been standing still, with its bytes unread */

void grpc_alive_heard(struct grpc_session *session)
{
	session->heard_us = session->now_us;
	session->is_pinged = false;
}

void grpc_alive_served(struct grpc_session *session, bool begins)
{
	if (!session->is_server) {
		return;
	}
	session->served += begins ? 1 : (size_t)-1;
	session->idle_from_us = session->now_us;
}

/* Those who have had calls are told to come back when they have one. */
static void end_idle(struct grpc_session *session)
{
	grpc_session_give_up(session, METRIC_grpc_connections_idle,
		"no call is open for idle_ms=%" PRId64, session->options.limits.idle_us / 1000);
	(void)nghttp2_session_terminate_session(session->http, NGHTTP2_NO_ERROR);
	session->failed = ERR_TIMEOUT;
}

static void end_dead(struct grpc_session *session)
{
	const struct grpc_limits *limits = &session->options.limits;
	grpc_session_give_up(session, METRIC_grpc_connections_dead,
		"the peer is dead: silent for %" PRId64 " ms, ping_ms=%" PRId64
		" ping_timeout_ms=%" PRId64 " calls=%zu",
		(session->now_us - session->heard_us) / 1000, limits->ping_us / 1000,
		limits->ping_timeout_us / 1000, session->served);
	session->failed = ERR_TIMEOUT;
}

static int64_t send_ping(struct grpc_session *session)
{
	int error = nghttp2_submit_ping(session->http, NGHTTP2_FLAG_NONE, NULL);
	if (error) {
		grpc_session_broken(session, error);
		return INT64_MAX;
	}
	metrics_add(session->options.metrics, METRIC_grpc_pings, 1);
	session->is_pinged = true;
	session->pinged_us = session->now_us;
	return session->now_us + session->options.limits.ping_timeout_us;
}

static int64_t tick_ping(struct grpc_session *session)
{
	const struct grpc_limits *limits = &session->options.limits;
	int64_t now_us = session->now_us;
	if (!session->is_pinged) {
		int64_t due_us = session->heard_us + limits->ping_us;
		return now_us >= due_us ? send_ping(session) : due_us;
	}
	int64_t due_us = session->pinged_us + limits->ping_timeout_us;
	if (now_us - due_us > LATE_US) {
		session->pinged_us = now_us;
		return now_us + limits->ping_timeout_us;
	}
	if (now_us >= due_us) {
		end_dead(session);
		return INT64_MAX;
	}
	return due_us;
}

int64_t grpc_alive_tick(struct grpc_session *session)
{
	const struct grpc_limits *limits = &session->options.limits;
	int64_t next_us = INT64_MAX;
	if (!session->is_server || session->failed) {
		return next_us;
	}
	if (!session->is_watched) {
		session->is_watched = true;
		session->heard_us = session->now_us;
		session->idle_from_us = session->now_us;
	}
	if (limits->idle_us > 0 && session->served == 0) {
		next_us = session->idle_from_us + limits->idle_us;
		if (session->now_us >= next_us) {
			end_idle(session);
			return INT64_MAX;
		}
	}
	if (limits->ping_us > 0) {
		int64_t ping_us = tick_ping(session);
		next_us = ping_us < next_us ? ping_us : next_us;
	}
	return next_us;
}
