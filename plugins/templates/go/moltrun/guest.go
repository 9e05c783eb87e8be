//go:build wasip1

package moltrun

import (
	"encoding/binary"
	"encoding/json"
	"unsafe"
)

// The canonical ABI of the world transform in wit/step.wit, by hand: values lie in memory as the host reads them. An
// instance lives for one call, so nothing is ever given back.

// What the host has still to read, or has written: the collector does not see addresses that are numbers.
var kept []any

func keep[T any](values []T) uint32 {
	if len(values) == 0 {
		return 0
	}
	kept = append(kept, values)
	return uint32(uintptr(unsafe.Pointer(&values[0])))
}

// A string or a list, as the host sees it.
type span struct{ at, length uint32 }

func text(value string) span { return span{keep([]byte(value)), uint32(len(value))} }

func list[T any](values []T) span { return span{keep(values), uint32(len(values))} }

func texts(values []string) span {
	spans := make([]span, len(values))
	for i, value := range values {
		spans[i] = text(value)
	}
	return list(spans)
}

func (s span) String() string {
	return string(unsafe.Slice((*byte)(unsafe.Pointer(uintptr(s.at))), s.length))
}

//go:wasmexport cabi_export_realloc
func exportRealloc(_, _, _, size uint32) uint32 { return keep(make([]uint64, size/8+1)) }

//go:wasmexport cabi_import_realloc
func importRealloc(_, _, _, size uint32) uint32 { return keep(make([]uint64, size/8+1)) }

// record step-info
type stepInfo struct {
	name, summary        span
	effect               Effect
	input, output, ports span
}

// record plugin-info
type pluginInfo struct {
	version, steps, hosts, secrets span
}

//go:wasmexport moltrun:step/guest@1.0.0#describe
func describe() uint32 {
	steps := make([]stepInfo, len(served.steps))
	for i, step := range served.steps {
		steps[i] = stepInfo{
			text(step.name), text(step.summary), step.effect, text(step.input), text(step.output), texts(step.ports),
		}
	}
	return keep([]pluginInfo{{version: text(served.version), steps: list(steps)}})
}

// result<output, step-error>: 56 bytes, aligned to 8.
type result [7]uint64

func (r *result) byte(at int, value uint8) { r.bytes()[at] = value }

func (r *result) span(at int, value span) {
	binary.LittleEndian.PutUint32(r.bytes()[at:], value.at)
	binary.LittleEndian.PutUint32(r.bytes()[at+4:], value.length)
}

func (r *result) bytes() []byte { return unsafe.Slice((*byte)(unsafe.Pointer(r)), unsafe.Sizeof(*r)) }

//go:wasmexport moltrun:step/guest@1.0.0#run
func run(stepAt, stepLength, inputAt, inputLength uint32) uint32 {
	step, input := span{stepAt, stepLength}.String(), span{inputAt, inputLength}.String()
	results := make([]result, 1)
	r := &results[0]
	data, port, failure := call(step, []byte(input), host{})
	if failure == nil {
		// ok(output): data at 8, option<port> at 16.
		r.span(8, text(string(data)))
		if port != "" {
			r.byte(16, 1)
			r.span(20, text(port))
		}
		return keep(results)
	}
	// err(step-error): its case at 8, then failure{code at 16, message at 24, option<details> at 32}, after-ms at 48.
	r.byte(0, 1)
	r.byte(8, uint8(failure.Kind))
	r.span(16, text(failure.Code))
	r.span(24, text(failure.Message))
	if failure.Details != nil {
		if details, err := json.Marshal(failure.Details); err == nil {
			r.byte(32, 1)
			r.span(36, text(string(details)))
		}
	}
	r[6] = failure.AfterMs
	return keep(results)
}

//go:wasmimport moltrun:step/log@1.0.0 write
func logWrite(level uint32, message string, fields unsafe.Pointer, count uint32)

//go:wasmimport moltrun:step/context@1.0.0 run-id
func contextRunID(result unsafe.Pointer)

//go:wasmimport moltrun:step/context@1.0.0 step-id
func contextStepID(result unsafe.Pointer)

//go:wasmimport moltrun:step/context@1.0.0 attempt
func contextAttempt() uint32

//go:wasmimport moltrun:step/context@1.0.0 idempotency-key
func contextIdempotencyKey(result unsafe.Pointer)

//go:wasmimport moltrun:step/context@1.0.0 now-ms
func contextNowMs() uint64

//go:wasmimport moltrun:step/context@1.0.0 remaining-ms
func contextRemainingMs() uint64

// host is the Host of a call.
type host struct{}

func (host) Log(level Level, message string, fields ...string) {
	pairs := make([][2]span, len(fields)/2)
	for i := range pairs {
		pairs[i] = [2]span{text(fields[2*i]), text(fields[2*i+1])}
	}
	logWrite(uint32(level), message, unsafe.Pointer(unsafe.SliceData(pairs)), uint32(len(pairs)))
}

func asked(ask func(unsafe.Pointer)) string {
	var answer span
	ask(unsafe.Pointer(&answer))
	return answer.String()
}

func (host) RunID() string          { return asked(contextRunID) }
func (host) StepID() string         { return asked(contextStepID) }
func (host) Attempt() uint32        { return contextAttempt() }
func (host) IdempotencyKey() string { return asked(contextIdempotencyKey) }
func (host) NowMs() uint64          { return contextNowMs() }
func (host) RemainingMs() uint64    { return contextRemainingMs() }
