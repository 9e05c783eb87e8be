package main

import (
	"errors"
	"testing"

	"plugin-name/moltrun"
)

func TestGreetsByName(t *testing.T) {
	output, err := greet.Run(greetInput{Name: " Ana "}, moltrun.NoHost{})
	if err != nil || output.Text != "Hello, Ana!" {
		t.Fatalf("%+v, %v", output, err)
	}
}

func TestRefusesABlankName(t *testing.T) {
	_, err := greet.Run(greetInput{Name: " "}, moltrun.NoHost{})
	var failure *moltrun.Failure
	if !errors.As(err, &failure) || failure.Code != "blank_name" || failure.Kind != moltrun.Permanent {
		t.Fatalf("%v", err)
	}
}
