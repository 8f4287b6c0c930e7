package main

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestSparse floods a log and asserts that little is written, that nothing goes
// uncounted, and that other causes are not held back.
func TestSparse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		log := zap.New(newSparse(core)).Named("audit").With(zap.Int("conn", 1))
		for i := range 1000 {
			log.Warn("refused", zap.Int("i", i))
			log.Debug("talk")
		}
		log.Named("other").Warn("refused")
		log.Error("refused")
		for i := range 100 { // phones have budgets of their own
			log.With(zap.String("port_path", fmt.Sprint("1-", i))).Info("attached")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := logs.FilterMessage("talk").Len(); n != 1000 {
			t.Errorf("%d debug lines", n)
		}
		if n := logs.FilterMessage("attached").Len(); n != 100 {
			t.Errorf("%d of 100 phones attached", n)
		}
		refused := logs.FilterMessage("refused")
		if n := refused.Len(); n != sparseLines+1+2 {
			t.Errorf("%d lines", n)
		}
		if n := refused.FilterField(zap.Int("more_in_a_second", 1000-sparseLines)).Len(); n != 1 {
			t.Errorf("the rest is not counted: %v", refused.All())
		}
		log.Warn("refused") // another second
		if n := logs.FilterMessage("refused").Len(); n != sparseLines+1+3 {
			t.Errorf("%d lines after a pause", n)
		}
		// Messages without end are no way around, nor a leak.
		before := logs.Len()
		for i := range 2 * sparseCauses {
			log.Info(fmt.Sprint("text ", i))
		}
		if n := logs.Len() - before; n > sparseCauses+sparseLines {
			t.Errorf("%d lines of causes without end", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
	})
}
