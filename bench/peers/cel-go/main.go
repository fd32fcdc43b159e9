// cel-go evaluates the cases of streamer-bench --cases: each expression is compiled once, with the
// optimisations that the library offers, and evaluated over the document as native Go values.
//
// Each line of stdin is {"name","members","expression","document"}, each of stdout
// {"name","members","ns"}: the least of ROUNDS.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
)

const (
	rounds     = 5
	roundNs    = 50 * time.Millisecond
	lineBytes  = 16 << 20
	firstCount = 1000
)

type benchCase struct {
	Name       string          `json:"name"`
	Members    int             `json:"members"`
	Expression string          `json:"expression"`
	Document   json.RawMessage `json:"document"`
}

// native turns JSON's numbers into int64 where they are whole, as Streamer has them.
func native(value any) any {
	switch typed := value.(type) {
	case json.Number:
		if !strings.ContainsAny(typed.String(), ".eE") {
			if whole, err := typed.Int64(); err == nil {
				return whole
			}
		}
		real, _ := typed.Float64()
		return real
	case map[string]any:
		for key, item := range typed {
			typed[key] = native(item)
		}
	case []any:
		for index, item := range typed {
			typed[index] = native(item)
		}
	}
	return value
}

func measure(program cel.Program, activation map[string]any) (float64, error) {
	best := 0.0
	for round := 0; round < rounds; round++ {
		count := 0
		start := time.Now()
		for time.Since(start) < roundNs {
			for i := 0; i < firstCount; i++ {
				out, _, err := program.Eval(activation)
				if err != nil {
					return 0, err
				}
				if out.Value() != true {
					return 0, fmt.Errorf("the result is %v, not true", out.Value())
				}
			}
			count += firstCount
		}
		ns := float64(time.Since(start).Nanoseconds()) / float64(count)
		if best == 0 || ns < best {
			best = ns
		}
	}
	return best, nil
}

func run(env *cel.Env, line []byte) error {
	var one benchCase
	if err := json.Unmarshal(line, &one); err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(one.Document))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return err
	}
	ast, issues := env.Compile(one.Expression)
	if issues != nil && issues.Err() != nil {
		return issues.Err()
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return err
	}
	ns, err := measure(program, map[string]any{"doc": native(document)})
	if err != nil {
		return fmt.Errorf("%s: %w", one.Name, err)
	}
	return json.NewEncoder(os.Stdout).Encode(
		map[string]any{"name": one.Name, "members": one.Members, "ns": ns})
}

func main() {
	env, err := cel.NewEnv(cel.Variable("doc", cel.DynType), ext.Strings(),
		cel.ParserExpressionSizeLimit(1<<24))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineBytes)
	for lines.Scan() {
		if err := run(env, lines.Bytes()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
