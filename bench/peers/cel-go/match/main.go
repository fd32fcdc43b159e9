// match runs every rule, an expression over doc, on every event, one after the other: what one has
// who takes a language without an index. See ../../match-go.
package main

import (
	"encoding/json"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"

	match "streamer/bench/peers/match-go"
)

type rule struct {
	id      string
	program cel.Program
}

type loop struct {
	env   *cel.Env
	rules []rule
}

func (l *loop) Add(id, expression string) error {
	if l.env == nil {
		env, err := cel.NewEnv(cel.Variable("doc", cel.DynType), ext.Strings())
		if err != nil {
			return err
		}
		l.env = env
	}
	ast, issues := l.env.Compile(expression)
	if issues.Err() != nil {
		return issues.Err()
	}
	program, err := l.env.Program(ast, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return err
	}
	l.rules = append(l.rules, rule{id, program})
	return nil
}

// Match takes an error, such as a member that is missing, for false, as Streamer does.
func (l *loop) Match(document []byte) ([]string, error) {
	var doc map[string]any
	if err := json.Unmarshal(document, &doc); err != nil {
		return nil, err
	}
	activation := map[string]any{"doc": doc}
	var matched []string
	for i := range l.rules {
		if out, _, err := l.rules[i].program.Eval(activation); err == nil && out == types.True {
			matched = append(matched, l.rules[i].id)
		}
	}
	return matched, nil
}

func main() {
	match.Main(&loop{})
}
