/*
 * gateway: the skeleton of a server that holds clients' connections and asks a Streamer for what
 * they want to see. Its one client is stdin, with a command a line:
 *
 *	sub ID COLLECTION [EXPRESSION]
 *	unsub ID
 *
 *	streamer serve --source ndjson:- &
 *	cc gateway.c $(pkg-config --cflags --libs streamer) -o gateway
 *	./gateway localhost:50052 default
 *
 * One thread and one poll(2): the stream is a descriptor among those of the clients, so it fits
 * into any event loop. Ends with 0 when the client goes, and with 1 when the stream does.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <streamer.h>
#include <string.h>
#include <unistd.h>

#define BLANKS " \t"

struct gateway {
	const char *database;
	struct streamer_stream *stream;
	char input[4096]; /* what the client has sent, up to a whole line */
	size_t input_size;
};

/* For printf's "%.*s": texts of items have a size and no NUL. */
#define TEXT(b) (int)(b).size, (b).size > 0 ? (b).data : ""

/* ---- from the Streamer ----------------------------------------------------------------------- */

/* A real gateway keeps a table from subscription ids to clients, and finds in it who gets this. */
static void put_ids(const struct streamer_item *item)
{
	for (size_t i = 0; i < item->subscription_ids_count; i++) {
		(void)printf(" %.*s", TEXT(item->subscription_ids[i]));
	}
	(void)printf("\n");
}

static void take_delivery(const struct streamer_item *item)
{
	/* Without a document: it is too large, or no JSON; a client that needs it reads it. A
	   DELETE without an id has document_hash, which finds the id among those that one has. */
	(void)printf("%s %.*s/%.*s %.*s for", streamer_operation_name(item->operation),
		TEXT(item->collection), TEXT(item->document_id), TEXT(item->document));
	put_ids(item);
}

static void take_answer(const struct streamer_item *item)
{
	if (item->accepted) {
		(void)printf("live: %.*s\n", TEXT(item->subscription_id));
		return;
	}
	(void)printf("refused: %.*s: %.*s", TEXT(item->subscription_id), TEXT(item->text));
	if (item->hint.size > 0) {
		(void)printf("; %.*s", TEXT(item->hint));
	}
	if (item->line > 0) {
		(void)printf(" (line %u, column %u)", item->line, item->column);
	}
	(void)printf("\n");
}

/* Whether there is more to come. */
static bool take_item(const struct streamer_item *item)
{
	switch (item->kind) {
	case STREAMER_DELIVERY:
		take_delivery(item);
		return true;
	case STREAMER_ANSWER:
		take_answer(item);
		return true;
	case STREAMER_NOTICE: /* to those whose expression it is: it may match too little */
		(void)printf("notice: %.*s for", TEXT(item->text));
		put_ids(item);
		return true;
	case STREAMER_GAP: /* clients that must not miss anything read anew from the database */
		(void)printf("gap: changes are missing, %llu of them (0: not known)\n",
			(unsigned long long)item->gap_events);
		return true;
	case STREAMER_STATE: /* nothing to do: the stream comes back by itself and keeps its place
			      */
		(void)printf("connection %s%s%.*s\n",
			item->connection == STREAMER_CONNECTED ? "made" : "lost",
			item->text.size > 0 ? ": " : "", TEXT(item->text));
		return true;
	case STREAMER_END:
		break;
	}
	/* For good: no other try would change it. */
	(void)fprintf(stderr, "gateway: the stream has ended: %s: %.*s\n",
		streamer_err_text(item->why), TEXT(item->text));
	return false;
}

/* All there is: only EMPTY makes the descriptor unreadable. A gateway with much else to do may stop
 * before; poll(2) brings it back at once. */
static bool take_items(struct gateway *gateway)
{
	struct streamer_item item;
	enum streamer_err err = STREAMER_OK;
	while ((err = streamer_receive(gateway->stream, &item)) == STREAMER_OK) {
		if (!take_item(&item)) {
			return false;
		}
	}
	(void)fflush(stdout);
	return err == STREAMER_EMPTY;
}

/* ---- from the client ------------------------------------------------------------------------- */

static char *next_word(char **rest)
{
	*rest += strspn(*rest, BLANKS);
	char *word = *rest;
	*rest += strcspn(*rest, BLANKS);
	if (**rest) {
		*(*rest)++ = '\0';
	}
	return word;
}

static void run_command(struct gateway *gateway, char *line)
{
	struct streamer_failure failure = {0};
	enum streamer_err err = STREAMER_INVALID;
	const char *command = next_word(&line);
	const char *id = next_word(&line);
	if (strcmp(command, "sub") == 0) {
		const char *collection = next_word(&line);
		const char *expression = line + strspn(line, BLANKS);
		const struct streamer_subscription subscription = {.id = id,
			.database = gateway->database,
			.collection = collection,
			.expression = *expression ? expression : NULL};
		/* Returns at once; whether it is accepted comes as an ANSWER. */
		err = streamer_subscribe(gateway->stream, &subscription, &failure, NULL);
	} else if (strcmp(command, "unsub") == 0) {
		err = streamer_unsubscribe(gateway->stream, id);
	} else {
		(void)snprintf(failure.text, sizeof(failure.text),
			"sub ID COLLECTION [EXPRESSION], or unsub ID");
	}
	if (err != STREAMER_OK && err != STREAMER_CLOSED) { /* an END item says why it is closed */
		(void)printf("error: %s: %s\n", streamer_err_text(err), failure.text);
		(void)fflush(stdout);
	}
}

/* Whether the client is still there. A line that does not fit is no command. */
static bool read_client(struct gateway *gateway)
{
	size_t room = sizeof(gateway->input) - gateway->input_size;
	ssize_t size = read(STDIN_FILENO, gateway->input + gateway->input_size, room);
	if (size <= 0) {
		return size < 0 && errno == EINTR;
	}
	gateway->input_size += (size_t)size;
	char *line = gateway->input;
	char *end = gateway->input + gateway->input_size;
	char *newline = NULL;
	while ((newline = memchr(line, '\n', (size_t)(end - line))) != NULL) {
		*newline = '\0';
		run_command(gateway, line);
		line = newline + 1;
	}
	gateway->input_size = (size_t)(end - line);
	memmove(gateway->input, line, gateway->input_size);
	return gateway->input_size < sizeof(gateway->input);
}

/* ---- both ------------------------------------------------------------------------------------ */

/* The exit status. */
static int run(struct gateway *gateway)
{
	struct pollfd ready[] = {
		{.fd = streamer_stream_fd(gateway->stream), .events = POLLIN},
		{.fd = STDIN_FILENO, .events = POLLIN},
	};
	for (;;) {
		if (poll(ready, 2, -1) < 0) {
			if (errno == EINTR) {
				continue;
			}
			perror("gateway: poll");
			return 1;
		}
		if (ready[0].revents && !take_items(gateway)) {
			return 1;
		}
		if (ready[1].revents && !read_client(gateway)) {
			return 0;
		}
	}
}

int main(int count, char **arguments)
{
	struct streamer_failure failure = {0};
	struct gateway gateway = {0};
	if (count != 3) {
		(void)fprintf(stderr, "usage: gateway HOST:PORT DATABASE\n");
		return 2;
	}
	gateway.database = arguments[2];
	/* Returns at once; a STATE item tells when the Streamer is there. What is subscribed before
	   waits for it. */
	enum streamer_err err = streamer_connect(arguments[1], &failure, &gateway.stream);
	if (err != STREAMER_OK) {
		(void)fprintf(stderr, "gateway: %s: %s\n", streamer_err_text(err), failure.text);
		return 1;
	}
	int status = run(&gateway);
	streamer_stream_close(gateway.stream);
	return status;
}
