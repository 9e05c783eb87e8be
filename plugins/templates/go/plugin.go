// The plugin: its version and its steps. New steps go into this list.
package main

import "plugin-name/moltrun"

func init() {
	moltrun.Serve("0.1.0", moltrun.Handle(greet))
}

// Never called: moltrun calls the component's exports.
func main() {}
