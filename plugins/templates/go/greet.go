package main

import (
	"fmt"
	"strings"

	"plugin-name/moltrun"
)

type greetInput struct {
	Name string `json:"name"`
}

type greetOutput struct {
	Text string `json:"text"`
}

// What runs is given fits Input; what it returns has to fit Output.
var greet = moltrun.Step[greetInput, greetOutput]{
	Name:    "greet",
	Summary: "greets somebody by name",
	Input: `{
		"type": "object",
		"additionalProperties": false,
		"required": ["name"],
		"properties": { "name": { "type": "string", "maxLength": 200, "description": "Whom to greet." } }
	}`,
	Output: `{
		"type": "object",
		"additionalProperties": false,
		"required": ["text"],
		"properties": { "text": { "type": "string", "description": "The greeting." } }
	}`,
	Run: func(input greetInput, host moltrun.Host) (greetOutput, error) {
		name := strings.TrimSpace(input.Name)
		if name == "" {
			return greetOutput{}, moltrun.Fail("blank_name", "the name is blank; give one")
		}
		host.Log(moltrun.Debug, "greeting", "length", fmt.Sprint(len(name)))
		return greetOutput{Text: "Hello, " + name + "!"}, nil
	},
}
