// Package moltrun is what a plugin's steps are written against. It runs anywhere; guest.go is the layer towards moltrun.
package moltrun

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Effect says what running a step twice would do.
type Effect uint8

const (
	Pure Effect = iota
	Idempotent
	AtMostOnce
)

// Kind says what becomes of a failed attempt.
type Kind uint8

const (
	// Permanent: never retried.
	Permanent Kind = iota
	// Transient: the workflow's retry policy decides.
	Transient
	// Later: tried again after Failure.AfterMs; costs no attempt.
	Later
	// Unknown: it may or may not have been done.
	Unknown
)

// Failure is a step that fails on purpose. Any other error is reported as `bug`.
type Failure struct {
	// Code is stable: [a-z][a-z0-9_]*.
	Code string
	// Message says what is wrong and what to do.
	Message string
	Kind    Kind
	// Details is more for the workflow; anything that is JSON.
	Details any
	AfterMs uint64
}

func (f *Failure) Error() string { return f.Code + ": " + f.Message }

// Fail is a permanent failure.
func Fail(code, message string) error { return &Failure{Code: code, Message: message} }

// Level of a log line.
type Level uint8

const (
	Debug Level = iota
	Info
	Warn
	Error
)

// Host is what a step is handed beside its input.
type Host interface {
	// Log writes a line for the operator; fields are names and values in turn.
	Log(level Level, message string, fields ...string)
	RunID() string
	StepID() string
	// Attempt counts from 1.
	Attempt() uint32
	// IdempotencyKey is equal for all attempts of a step in a run.
	IdempotencyKey() string
	// NowMs is the run's logical time. The clock of the standard library begins at 0 in each call.
	NowMs() uint64
	RemainingMs() uint64
}

// NoHost is for tests: it drops what is logged.
type NoHost struct{}

func (NoHost) Log(Level, string, ...string) {}
func (NoHost) RunID() string                { return "" }
func (NoHost) StepID() string               { return "" }
func (NoHost) Attempt() uint32              { return 1 }
func (NoHost) IdempotencyKey() string       { return "" }
func (NoHost) NowMs() uint64                { return 0 }
func (NoHost) RemainingMs() uint64          { return 5000 }

// Step is one step: what it takes and gives, as Go types and as JSON Schema.
type Step[In, Out any] struct {
	Name, Summary string
	Effect        Effect
	Input, Output string
	// Ports are named exits besides `ok`. An output with a method `Port() string` chooses one.
	Ports []string
	Run   func(input In, host Host) (Out, error)
}

// Handler is a step without its types.
type Handler struct {
	name, summary, input, output string
	effect                       Effect
	ports                        []string
	run                          func(input []byte, host Host) (data []byte, port string, err error)
}

// Handle takes the types off a step.
func Handle[In, Out any](step Step[In, Out]) Handler {
	return Handler{
		name: step.Name, summary: step.Summary, input: step.Input, output: step.Output,
		effect: step.Effect, ports: step.Ports,
		run: func(text []byte, host Host) ([]byte, string, error) {
			var input In
			if err := json.Unmarshal(text, &input); err != nil {
				return nil, "", err
			}
			output, err := step.Run(input, host)
			if err != nil {
				return nil, "", err
			}
			port := ""
			if leaves, ok := any(output).(interface{ Port() string }); ok {
				port = leaves.Port()
			}
			data, err := json.Marshal(output)
			return data, port, err
		},
	}
}

var served struct {
	version string
	steps   []Handler
}

// Serve says what the plugin offers; called once, from init.
func Serve(version string, steps ...Handler) {
	served.version, served.steps = version, steps
}

// call makes one attempt; it never panics.
func call(name string, input []byte, host Host) (data []byte, port string, failure *Failure) {
	defer func() {
		if panicked := recover(); panicked != nil {
			failure = &Failure{Code: "bug", Message: fmt.Sprint(panicked)}
		}
	}()
	for _, step := range served.steps {
		if step.name != name {
			continue
		}
		data, port, err := step.run(input, host)
		if err == nil {
			return data, port, nil
		}
		if !errors.As(err, &failure) {
			failure = &Failure{Code: "bug", Message: err.Error()}
		}
		return nil, "", failure
	}
	return nil, "", &Failure{Code: "unknown_step", Message: "there is no step " + name}
}
