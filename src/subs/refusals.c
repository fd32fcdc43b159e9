/* How a subscribe is refused: what was wrong, which limit it was, and what would be right. */
#include "subs_priv.h"

#include <stdio.h>

void subs_refuse(struct subs *subs, struct model_answer *answer, enum model_refusal refusal,
	const char *text)
{
	answer->refusal = refusal;
	answer->text = bytes_of(text);
	metrics_add(subs->metrics, METRIC_subscribes_refused, 1);
}

/* Something that is counted, and how many there may be. */
struct quota {
	const char *what, *option, *hint;
	size_t found, most;
	enum metric metric;
};

bool subs_refuse_by_limit(struct subs *subs, const struct subs_stream *stream,
	struct bytes database, struct model_answer *answer)
{
	const struct subs_limits *limits = &subs->limits;
	const struct quota quotas[] = {
		{"too many subscriptions of this stream", "stream_subscriptions_max",
			"unsubscribe some, or open another stream", subs_stream_count(stream),
			limits->per_stream_max, METRIC_stream_subscriptions_refused},
		{"too many subscriptions of this database", "database_subscriptions_max",
			"unsubscribe some of this database",
			subs_database_count(&subs->databases, database), limits->per_database_max,
			METRIC_database_subscriptions_refused},
		{"too many subscriptions", "subscriptions_max", "unsubscribe some, or try later",
			subs->count, limits->total_max, METRIC_subscriptions_refused},
		{"subscriptions take too much memory", "subscriptions_bytes_max",
			"unsubscribe some, or try later", subs->bytes, limits->bytes_max,
			METRIC_subscriptions_bytes_refused},
	};
	for (size_t i = 0; i < sizeof(quotas) / sizeof(quotas[0]); i++) {
		const struct quota *quota = &quotas[i];
		if (quota->found >= quota->most) {
			(void)snprintf(subs->text, sizeof(subs->text), "%s: %s is %zu", quota->what,
				quota->option, quota->most);
			answer->hint = bytes_of(quota->hint);
			subs_refuse(subs, answer, MODEL_REFUSED_LIMIT, subs->text);
			metrics_add(subs->metrics, quota->metric, 1);
			return true;
		}
	}
	return false;
}

void subs_refuse_filters(struct subs *subs, struct model_answer *answer, enum model_refusal refusal,
	const char *text)
{
	(void)snprintf(subs->text, sizeof(subs->text), "failed to compile filters: %s", text);
	subs_refuse(subs, answer, refusal, subs->text);
}

/* The refusal's texts stay until the next call. */
void subs_refuse_query(struct subs *subs, struct model_answer *answer)
{
	const struct match_refusal *refusal = &subs->refusal;
	answer->filter = refusal->filter;
	answer->line = refusal->line;
	answer->column = refusal->column;
	answer->hint = bytes_of(refusal->hint);
	subs_refuse_filters(subs, answer, refusal->code, refusal->text);
}
