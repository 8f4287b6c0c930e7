// Command vmrun works with the project's virtual machine by hand:
//
//	vmrun image                         make the image if there is none
//	vmrun [-flavour F] test [ARG...]    run the guest tests, with arguments such as -test.run=Pair
//	vmrun [-flavour F] sh SCRIPT        run a shell script with the project's programs in the path
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gomuxd/e2e/vm"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "vmrun: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context) (int, error) {
	flavour := flag.String("flavour", string(vm.Udev), "fast, udev or systemd")
	timeout := flag.Duration("timeout", 30*time.Minute, "for the whole run")
	env := flag.String("env", "", "NAME=VALUE,... for the program")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "Usage: vmrun [OPTIONS] image | test [ARGUMENT...] | sh SCRIPT")
		flag.PrintDefaults()
	}
	flag.Parse()
	cfg := vm.Config{Flavour: vm.Flavour(*flavour), Timeout: *timeout, Output: os.Stdout, Env: map[string]string{}}
	for kv := range strings.SplitSeq(*env, ",") {
		if k, v, ok := strings.Cut(kv, "="); ok {
			cfg.Env[k] = v
		}
	}
	switch flag.Arg(0) {
	case "image":
		dir, err := vm.Image(ctx)
		if err == nil {
			fmt.Println(dir)
		}
		return 0, err
	case "test", "sh":
	default:
		flag.Usage()
		return 2, nil
	}
	dir, err := os.MkdirTemp("", "gomuxd-vmrun-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if cfg.Files, err = vm.Build(ctx, dir); err != nil {
		return 1, err
	}
	if flag.Arg(0) == "sh" {
		if flag.NArg() != 2 {
			return 1, errors.New("sh wants one script")
		}
		if cfg.Files["script"], err = filepath.Abs(flag.Arg(1)); err != nil {
			return 1, err
		}
		cfg.Command = []string{"sh", "./script"}
	} else {
		cfg.Command = append([]string{"./guest.test"}, flag.Args()[1:]...)
	}
	r, err := vm.Run(ctx, cfg)
	fmt.Fprintf(os.Stderr, "vmrun: exit status %d, booted in %.1f s, %.1f s in all\n", r.ExitCode, r.Boot.Seconds(), r.All.Seconds())
	if r.Console != "" {
		fmt.Fprintf(os.Stderr, "vmrun: the console is in %s\n", r.Console)
	}
	return r.ExitCode, err
}
