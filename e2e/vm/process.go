package vm

import (
	"context"
	"os/exec"
	"runtime"
	"syscall"
)

// runTied runs a command that ctx's end kills, and that dies with this process
// even when this one is killed.
func runTied(ctx context.Context, cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	done := make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		// The signal comes at the end of the thread that starts the child, which
		// must therefore live until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			done <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		_ = cmd.Process.Kill() // it may just have ended
		<-done
		return context.Cause(ctx)
	}
}
