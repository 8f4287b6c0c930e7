//go:build !virtualphone

package main

import "github.com/spf13/pflag"

// phoneOptions is empty: the shipped daemon contains no phone.
type phoneOptions struct{}

func (phoneOptions) addFlags(*pflag.FlagSet) {}
func (phoneOptions) validate() error         { return nil }
func (phoneOptions) plug(*muxd) error        { return nil }
