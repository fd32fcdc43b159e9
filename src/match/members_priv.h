/* Which members of a document queries look at: counted by name. A name without data stands for the
 * whole document. */
#ifndef MATCH_MEMBERS_PRIV_H
#define MATCH_MEMBERS_PRIV_H

#include "cel.h"
#include "event.h"

/* By event_member_bit. */
struct match_members {
	uint64_t bits;
	uint32_t counts[EVENT_MEMBERS + 1];
	struct interest *interest; /* is told too; may be NULL */
};

void match_members_add(struct match_members *members, struct bytes name);
void match_members_remove(struct match_members *members, struct bytes name);
/* Those that a program reads; `adds` false: removes them. */
void match_members_of_program(
	struct match_members *members, const struct cel_program *program, bool adds);

#endif
