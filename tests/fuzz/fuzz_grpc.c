/*
 * Fuzzes a grpc session, a server's or a client's with calls under way, with what its peer sends.
 * The first three bytes choose how; behind them come the peer's bytes as they are, or a script of
 * frames and of what the owner does meanwhile. Owners answer what they are told as real ones do,
 * and check that they are told what grpc.h promises: nothing in a pause, nothing behind the end,
 * and the end once for each call.
 */
#include "failing.h"
#include "fuzz.h"
#include "grpc.h"

#include <string.h>

#define OWNERS_MAX 32
#define METHOD "/test.Test/Call"
#define SMALL_BYTES 64
/* So that no input takes long: after so many pieces they are whole, or frames not repeated. */
#define PIECES_MAX 4000
#define AGAIN_MAX 20000
#define FLOOD_LEAST 250

/* First byte. The second is the size of a piece, and which allocation fails; the third what owners
 * do. */
enum option {
	OPTION_CLIENT = 1,
	OPTION_SCRIPT = 2,
	OPTION_OPENED =
		4,        /* the peer has greeted, and asked or answered, before the input begins */
	OPTION_SMALL = 8, /* limits */
	OPTION_DEAF = 16, /* what the session has to send is not taken */
	OPTION_PIECES = 32,
	OPTION_DEADLINE = 64, /* time passes with each piece */
	OPTION_LACK = 128,    /* one allocation fails */
};

/* A script's records. Below SCRIPT_DRAIN: a frame of that type, then its flags, stream and size, a
 * byte each, and its payload. */
enum script {
	SCRIPT_DRAIN = 16, /* this and the others: one byte more, which call or how many */
	SCRIPT_PAUSE,
	SCRIPT_RESUME,
	SCRIPT_SEND,
	SCRIPT_FINISH,
	SCRIPT_CANCEL,
	SCRIPT_TICK,
	SCRIPT_GOAWAY,
	SCRIPT_CALL,
	SCRIPT_MESSAGE, /* from the peer, of 72 times as many bytes, on stream 1 */
	SCRIPT_AGAIN, /* the frame before, 8 times as often; an odd number: each on a new stream */
	SCRIPTS
};

/* What an owner does when it is told something. */
enum habit { HABIT_ECHO, HABIT_PAUSE, HABIT_FINISH, HABIT_CANCEL };

struct fuzz;

struct owner {
	struct fuzz *fuzz;
	struct grpc_call *call; /* NULL: free for the next call */
	unsigned told;          /* messages and half-closes */
	bool is_paused, is_started, is_half_closed, is_finished;
	size_t owed; /* bytes to send as soon as there is room */
};

struct fuzz {
	const uint8_t *at, *end;
	unsigned options, number, habits;
	struct grpc_session *session;
	struct grpc_options limits;
	struct owner owners[OWNERS_MAX];
	unsigned calls, ended, pieces;
	int64_t now_us;
	bool has_failed, is_woken;
	struct {
		unsigned type, flags, stream;
		struct bytes payload;
	} frame; /* of the script, the newest */
};

/* ---- owners ---------------------------------------------------------------------------------- */

static enum habit next_habit(struct owner *owner)
{
	return (enum habit)(owner->fuzz->habits >> owner->told++ % 4 * 2 & 3);
}

static void push(struct owner *owner)
{
	char *place = NULL;
	if (owner->owed == 0) {
		return;
	}
	bool has_room = owner->owed <= grpc_call_room(owner->call);
	enum err err = grpc_call_begin(owner->call, owner->owed, &place);
	if (err) {
		check(err == ERR_CLOSED || (err == ERR_FULL && !has_room) ||
			owner->fuzz->options & OPTION_LACK);
		return;
	}
	memset(place, 'x', owner->owed);
	grpc_call_commit(owner->call);
	check(grpc_call_unsent(owner->call) >= owner->owed);
	owner->owed = 0;
}

static void pause_call(struct owner *owner, bool paused)
{
	owner->is_paused = paused;
	grpc_call_pause(owner->call, paused);
}

static void finish(struct owner *owner)
{
	owner->is_finished = true;
	grpc_call_finish(owner->call, GRPC_OK, NULL);
}

static void act(struct owner *owner, enum habit habit, size_t echo)
{
	switch (habit) {
	case HABIT_ECHO:
		owner->owed = echo;
		push(owner);
		break;
	case HABIT_PAUSE:
		pause_call(owner, true);
		break;
	case HABIT_FINISH:
		finish(owner);
		break;
	case HABIT_CANCEL:
		owner->is_finished = true;
		grpc_call_cancel(
			owner->call, owner->told % 2 ? GRPC_CANCELLED : GRPC_ABORTED, "enough");
		break;
	}
}

static void on_message(void *ctx, struct bytes message)
{
	struct owner *owner = ctx;
	bool is_client = owner->fuzz->options & OPTION_CLIENT;
	check(owner->call && !owner->is_paused && !owner->is_half_closed);
	check(!owner->is_finished || is_client);
	check(owner->is_started || !is_client);
	check(message.size <= owner->fuzz->limits.message_bytes_max);
	uint64_t read_all = bytes_hash(message, 0);
	act(owner, next_habit(owner), message.size + read_all % 2);
}

static void on_started(void *ctx)
{
	struct owner *owner = ctx;
	check(owner->call && !owner->is_started && owner->told == 0);
	check(owner->fuzz->options & OPTION_CLIENT);
	owner->is_started = true;
}

static void on_half_closed(void *ctx)
{
	struct owner *owner = ctx;
	check(owner->call && !owner->is_half_closed && !owner->is_finished);
	check(!(owner->fuzz->options & OPTION_CLIENT));
	owner->is_half_closed = true;
	enum habit habit = next_habit(owner);
	act(owner, habit == HABIT_ECHO ? HABIT_FINISH : habit, 0);
}

static void on_writable(void *ctx)
{
	struct owner *owner = ctx;
	check(owner->call && !owner->is_finished);
	push(owner);
}

static void on_ended(void *ctx, enum grpc_status status, struct bytes text)
{
	struct owner *owner = ctx;
	check(owner->call);
	check(bytes_are_utf8(text));
	check(status <= GRPC_UNAUTHENTICATED);
	check(owner->fuzz->ended < owner->fuzz->calls);
	owner->fuzz->ended++;
	owner->call = NULL;
}

static const struct grpc_call_events events = {
	on_message, on_started, on_half_closed, on_writable, on_ended};

static struct owner *owner_new(struct fuzz *fuzz)
{
	for (size_t i = 0; i < OWNERS_MAX; i++) {
		if (!fuzz->owners[i].call) {
			fuzz->owners[i] = (struct owner){.fuzz = fuzz};
			return &fuzz->owners[i];
		}
	}
	return NULL;
}

static enum grpc_status accept_call(void *ctx, struct grpc_call *call, struct bytes method)
{
	struct fuzz *fuzz = ctx;
	struct owner *owner = owner_new(fuzz);
	if (!bytes_equal(method, bytes_of(METHOD))) {
		return GRPC_UNIMPLEMENTED;
	}
	if (!owner) {
		return GRPC_RESOURCE_EXHAUSTED;
	}
	owner->call = call;
	fuzz->calls++;
	grpc_call_set_ctx(call, &events, owner);
	return GRPC_OK;
}

static void make_call(struct fuzz *fuzz)
{
	struct owner *owner = owner_new(fuzz);
	bool has_deadline = fuzz->options & OPTION_DEADLINE;
	if (!owner) {
		return;
	}
	int64_t deadline_us = has_deadline ? fuzz->now_us + 5000 : INT64_MAX;
	struct grpc_call *call = NULL;
	if (grpc_session_call(fuzz->session, METHOD, deadline_us, &events, owner, &call) == OK) {
		owner->call = call;
		fuzz->calls++;
	}
}

/* ---- the session ----------------------------------------------------------------------------- */

/* Takes what there is to send, at most so many times. */
static void drain(struct fuzz *fuzz, unsigned times)
{
	struct bytes bytes = {0};
	for (; times > 0; times--) {
		enum err err = grpc_session_output(fuzz->session, &bytes);
		check(err == OK || fuzz->has_failed || fuzz->options & OPTION_LACK ||
			err == ERR_CORRUPT || err == ERR_LIMIT);
		if (err || bytes.size == 0) {
			fuzz->has_failed = fuzz->has_failed || err;
			return;
		}
		check(!grpc_session_is_done(fuzz->session));
		(void)bytes_hash(bytes, 0); /* reads all of it */
		bool takes_half = fuzz->options & OPTION_PIECES && bytes.size > 1;
		grpc_session_sent(fuzz->session, takes_half ? bytes.size / 2 : bytes.size);
	}
}

static void on_output(void *ctx)
{
	struct fuzz *fuzz = ctx;
	fuzz->is_woken = true;
}

static void feed(struct fuzz *fuzz, struct bytes bytes)
{
	bool is_cut = fuzz->options & OPTION_PIECES && fuzz->pieces < PIECES_MAX;
	size_t piece = is_cut ? 1 + fuzz->number : bytes.size;
	while (bytes.size > 0 && !fuzz->has_failed) {
		fuzz->pieces++;
		size_t size = piece < bytes.size ? piece : bytes.size;
		char *copy = malloc(size);
		check(copy);
		memcpy(copy, bytes.data, size);
		struct bytes part = {copy, size};
		fuzz->has_failed = grpc_session_input(fuzz->session, part, fuzz->now_us) != OK;
		free(copy);
		bytes.data += size;
		bytes.size -= size;
		if (!(fuzz->options & OPTION_DEAF)) {
			drain(fuzz, UINT32_MAX);
		}
		if (fuzz->options & OPTION_DEADLINE) {
			fuzz->now_us += 100;
			(void)grpc_session_tick(fuzz->session, fuzz->now_us);
		}
	}
}

/* ---- frames ---------------------------------------------------------------------------------- */

enum { FRAME_DATA, FRAME_HEADERS, FRAME_SETTINGS = 4, END_STREAM = 1, END_HEADERS = 4 };

static void feed_frame(
	struct fuzz *fuzz, unsigned type, unsigned flags, unsigned stream, struct bytes payload)
{
	struct buffer frame = {0};
	const unsigned char head[9] = {(unsigned char)(payload.size >> 16),
		(unsigned char)(payload.size >> 8), (unsigned char)payload.size,
		(unsigned char)type, (unsigned char)flags, 0, 0, (unsigned char)(stream >> 8),
		(unsigned char)stream};
	bool is_made = !buffer_append(&frame, (struct bytes){(const char *)head, sizeof(head)}) &&
		!buffer_append(&frame, payload);
	if (is_made) {
		feed(fuzz, buffer_bytes(&frame));
	}
	buffer_fini(&frame);
}

/* What a proper peer sends: a request; an answer's beginning; its end. */
static void feed_headers(struct fuzz *fuzz, unsigned flags, unsigned stream)
{
	static const char request[] = "\x83\x86\x44\x0f" METHOD "\x41\x01x"
				      "\x5f\x10"
				      "application/grpc"
				      "\x40\x0d"
				      "grpc-encoding"
				      "\x04"
				      "gzip";
	static const char answer[] = "\x88\x5f\x10"
				     "application/grpc"
				     "\x40\x0d"
				     "grpc-encoding"
				     "\x04"
				     "gzip";
	static const char end[] = "\x88\x5f\x10"
				  "application/grpc"
				  "\x40\x0b"
				  "grpc-status"
				  "\x02"
				  "14"
				  "\x40\x0c"
				  "grpc-message"
				  "\x03"
				  "%41";
	static const char trailers[] = "\x40\x0b"
				       "grpc-status"
				       "\x01"
				       "0";
	struct bytes block = {request, sizeof(request) - 1};
	if (fuzz->options & OPTION_CLIENT) {
		bool is_first = !(fuzz->options & OPTION_OPENED);
		block = !(flags & END_STREAM) ? (struct bytes){answer, sizeof(answer) - 1}
			: is_first            ? (struct bytes){end, sizeof(end) - 1}
					      : (struct bytes){trailers, sizeof(trailers) - 1};
	}
	feed_frame(fuzz, FRAME_HEADERS, flags | END_HEADERS, stream, block);
}

static void feed_opening(struct fuzz *fuzz)
{
	if (!(fuzz->options & OPTION_CLIENT)) {
		feed(fuzz, bytes_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
	}
	feed_frame(fuzz, FRAME_SETTINGS, 0, 0, (struct bytes){NULL, 0});
	feed_headers(fuzz, 0, 1);
}

static void feed_message(struct fuzz *fuzz, size_t size)
{
	static const char filling[16384];
	const unsigned char prefix[5] = {
		0, 0, (unsigned char)(size >> 16), (unsigned char)(size >> 8), (unsigned char)size};
	feed_frame(fuzz, FRAME_DATA, 0, 1, (struct bytes){(const char *)prefix, sizeof(prefix)});
	for (size_t left = size; left > 0;) {
		size_t part = left < sizeof(filling) ? left : sizeof(filling);
		feed_frame(fuzz, FRAME_DATA, 0, 1, (struct bytes){filling, part});
		left -= part;
	}
}

/* ---- scripts --------------------------------------------------------------------------------- */

static unsigned take_byte(struct fuzz *fuzz)
{
	return fuzz->at < fuzz->end ? *fuzz->at++ : 0;
}

static void feed_script_frame(struct fuzz *fuzz)
{
	if (fuzz->frame.type == FRAME_HEADERS && fuzz->frame.payload.size == 0) {
		feed_headers(fuzz, fuzz->frame.flags, fuzz->frame.stream);
	} else {
		feed_frame(fuzz, fuzz->frame.type, fuzz->frame.flags, fuzz->frame.stream,
			fuzz->frame.payload);
	}
}

static void run_frame(struct fuzz *fuzz, unsigned type)
{
	unsigned flags = take_byte(fuzz);
	unsigned stream = take_byte(fuzz);
	size_t size = take_byte(fuzz);
	size_t left = (size_t)(fuzz->end - fuzz->at);
	size = size < left ? size : left;
	fuzz->frame.type = type;
	fuzz->frame.flags = flags;
	fuzz->frame.stream = stream;
	fuzz->frame.payload = fuzz_text(fuzz->at, size);
	feed_script_frame(fuzz);
	fuzz->at += size;
}

static void run_again(struct fuzz *fuzz, unsigned number)
{
	unsigned times = number < FLOOD_LEAST ? number % 16 : number * 8;
	for (; times > 0 && fuzz->pieces < AGAIN_MAX && !fuzz->has_failed; times--) {
		fuzz->frame.stream += number % 2 * 2;
		feed_script_frame(fuzz);
	}
}

/* Outside of a callback: if there is something to send because of it, the session has said so. */
static void run_on_call(struct fuzz *fuzz, enum script script, unsigned number)
{
	struct owner *owner = &fuzz->owners[number % OWNERS_MAX];
	bool is_drained = !(fuzz->options & OPTION_DEAF);
	if (is_drained) {
		drain(fuzz, UINT32_MAX);
	}
	if (!owner->call) {
		return;
	}
	fuzz->is_woken = false;
	if (script == SCRIPT_PAUSE || script == SCRIPT_RESUME) {
		pause_call(owner, script == SCRIPT_PAUSE);
	} else if (script == SCRIPT_SEND) {
		bool fills = number == UINT8_MAX;
		owner->owed = fills ? grpc_call_room(owner->call) : (size_t)number * number;
		push(owner);
	} else {
		act(owner, script == SCRIPT_FINISH ? HABIT_FINISH : HABIT_CANCEL, 0);
	}
	struct bytes bytes = {0};
	if (is_drained && grpc_session_output(fuzz->session, &bytes) == OK && bytes.size > 0) {
		check(fuzz->is_woken);
		drain(fuzz, UINT32_MAX);
	}
}

static void run_script(struct fuzz *fuzz)
{
	while (fuzz->at < fuzz->end) {
		unsigned script = take_byte(fuzz) % SCRIPTS;
		if (script < SCRIPT_DRAIN) {
			run_frame(fuzz, script);
			continue;
		}
		unsigned number = take_byte(fuzz);
		if (script == SCRIPT_DRAIN) {
			drain(fuzz, 1 + number);
		} else if (script == SCRIPT_TICK) {
			fuzz->now_us += number * INT64_C(1000);
			(void)grpc_session_tick(fuzz->session, fuzz->now_us);
		} else if (script == SCRIPT_GOAWAY) {
			grpc_session_goaway(fuzz->session);
		} else if (script == SCRIPT_CALL) {
			make_call(fuzz);
		} else if (script == SCRIPT_MESSAGE) {
			feed_message(fuzz, number * (size_t)72);
		} else if (script == SCRIPT_AGAIN) {
			run_again(fuzz, number);
		} else {
			run_on_call(fuzz, (enum script)script, number);
		}
	}
}

/* ---- one input ------------------------------------------------------------------------------- */

static enum err open_session(struct fuzz *fuzz)
{
	fuzz->limits.message_bytes_max = 65536;
	if (fuzz->options & OPTION_SMALL) {
		fuzz->limits = (struct grpc_options){.message_bytes_max = SMALL_BYTES,
			.send_buffer_bytes = SMALL_BYTES,
			.window_bytes = SMALL_BYTES,
			.calls_max = 2};
	}
	if (!(fuzz->options & OPTION_CLIENT)) {
		return grpc_session_new_server(&fuzz->limits, accept_call, fuzz, &fuzz->session);
	}
	enum err err = grpc_session_new_client(&fuzz->limits, "test:1", &fuzz->session);
	if (!err) {
		make_call(fuzz);
		make_call(fuzz);
	}
	return err;
}

/* Whoever still pauses goes on, and what there is to send is taken. */
static void wind_up(struct fuzz *fuzz)
{
	for (size_t i = 0; i < OWNERS_MAX; i++) {
		if (fuzz->owners[i].call) {
			pause_call(&fuzz->owners[i], false);
		}
		drain(fuzz, UINT32_MAX);
	}
	check(!fuzz->has_failed || grpc_session_is_done(fuzz->session));
}

static void run(struct fuzz *fuzz)
{
	enum err err = open_session(fuzz);
	if (err) {
		check(fuzz->options & OPTION_LACK);
		return;
	}
	grpc_session_on_output(fuzz->session, on_output, fuzz);
	(void)grpc_session_tick(fuzz->session, fuzz->now_us);
	if (!(fuzz->options & OPTION_DEAF)) {
		drain(fuzz, UINT32_MAX);
	}
	if (fuzz->options & OPTION_OPENED) {
		feed_opening(fuzz);
	}
	if (fuzz->options & OPTION_SCRIPT) {
		run_script(fuzz);
	} else {
		feed(fuzz, fuzz_text(fuzz->at, (size_t)(fuzz->end - fuzz->at)));
	}
	wind_up(fuzz);
	grpc_session_free(fuzz->session);
	check(fuzz->ended == fuzz->calls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = {.at = data, .end = data + size, .now_us = 1000000};
	struct failing failing;
	fuzz.options = take_byte(&fuzz);
	fuzz.number = take_byte(&fuzz);
	fuzz.habits = take_byte(&fuzz);
	failing_start(&failing, fuzz.options & OPTION_LACK ? fuzz.number : SIZE_MAX);
	run(&fuzz);
	check(failing.live == 0);
	(void)failing_stop(&failing);
	return 0;
}
