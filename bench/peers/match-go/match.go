// Package match measures a matcher that is written in Go: RULES EVENTS MATCHES SECONDS are the
// arguments of its program, see tools/bench-peers-match.
package match

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	slice     = 50 * time.Millisecond
	lineBytes = 16 << 20
)

// Matcher takes rules in its own language, and tells which of them an event's bytes match.
type Matcher interface {
	Add(id, rule string) error
	Match(document []byte) ([]string, error)
}

type event struct {
	id       string
	document []byte
}

// processor gives the processor's time that the process has used: with one thread of Go it is the
// elapsed time of a machine that does nothing else.
func processor() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// each calls take for the lines of a file, which are a name, a tab, and the rest.
func each(path string, take func(name, rest string) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, lineBytes)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), "\t")
		if err := take(name, rest); err != nil {
			return fmt.Errorf("%s: %s: %w", path, name, err)
		}
	}
	return lines.Err()
}

// list writes down what matches, event by event until the time is up, and tells how many it saw.
func list(matcher Matcher, events []event, path string, limit time.Duration) (int, error) {
	file, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	seen := 0
	start := processor()
	for ; seen < len(events) && (seen == 0 || processor()-start < limit); seen++ {
		rules, err := matcher.Match(events[seen].document)
		if err != nil {
			return 0, err
		}
		for _, rule := range rules {
			fmt.Fprintf(out, "%s\t%s\n", events[seen].id, rule)
		}
	}
	return seen, out.Flush()
}

// measure gives the most events a second of the slices that the time is cut into.
func measure(matcher Matcher, events []event, limit time.Duration) (float64, error) {
	best, next := 0.0, 0
	for begin := processor(); next == 0 || processor()-begin < limit; {
		first := next
		start := processor()
		for next == first || processor()-start < slice {
			if _, err := matcher.Match(events[next%len(events)].document); err != nil {
				return 0, err
			}
			next++
		}
		best = max(best, float64(next-first)/(processor()-start).Seconds())
	}
	return best, nil
}

func run(matcher Matcher, arguments []string) error {
	if len(arguments) != 4 {
		return errors.New("expected RULES EVENTS MATCHES SECONDS")
	}
	seconds, err := strconv.ParseFloat(arguments[3], 64)
	if err != nil {
		return err
	}
	limit := time.Duration(seconds * float64(time.Second))
	start := processor()
	if err := each(arguments[0], matcher.Add); err != nil {
		return err
	}
	load := (processor() - start).Seconds()
	var events []event
	err = each(arguments[1], func(id, document string) error {
		events = append(events, event{id, []byte(document)})
		return nil
	})
	if err != nil {
		return err
	}
	seen, err := list(matcher, events, arguments[2], limit)
	if err != nil {
		return err
	}
	best, err := measure(matcher, events[:seen], limit)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(
		map[string]any{"events": seen, "events_per_s": best, "load_s": load})
}

// Main is the program.
func Main(matcher Matcher) {
	runtime.GOMAXPROCS(1)
	if err := run(matcher, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
