package socket

import (
	"fmt"
	"syscall"
	"time"

	"go.uber.org/zap"

	"gomuxd/access"
	"gomuxd/plist"
)

// minRecord is the length in bytes below which usbmuxd takes nothing for a pair
// record.
const minRecord = 8

// recordVerbs are the requests that concern records, as rules name them. This
// computer's identity is part of each record.
var recordVerbs = map[verb]access.Verb{
	cmdReadBUID:         access.ReadRecord,
	cmdReadPairRecord:   access.ReadRecord,
	cmdSavePairRecord:   access.SaveRecord,
	cmdDeletePairRecord: access.DeleteRecord,
}

// record answers the requests that concern Records. It returns the payload of
// a data reply, or nil and the Number of a Result.
func (c *client) record(r *request) (payload []byte, number uint32) {
	s := c.srv
	dev := s.reg.named(r.recordID)
	if !c.may(recordVerbs[r.verb], dev, 0) {
		return nil, uint32(syscall.EACCES)
	}
	defer func() { c.audit(r, number) }()
	switch r.verb {
	case cmdReadBUID:
		return s.reply(func() (any, error) {
			id, err := s.cfg.Records.BUID()
			return buidReply{id}, err
		})
	case cmdReadPairRecord:
		if !r.hasName {
			return nil, errInvalid
		}
		return s.reply(func() (any, error) {
			data, err := s.cfg.Records.Read(r.recordID)
			if err == nil && len(data) == 0 {
				err = syscall.ENOENT
			}
			return recordReply{data}, err
		})
	case cmdSavePairRecord:
		return nil, c.saveRecord(r)
	default: // cmdDeletePairRecord
		if !r.hasName {
			return nil, errInvalid
		}
		_, number = s.reply(func() (any, error) { return nil, s.cfg.Records.Delete(r.recordID) })
		return nil, number
	}
}

// saveRecord stores a record and tells listeners if the client named the device
// it belongs to.
func (c *client) saveRecord(r *request) uint32 {
	data, ok := recordData(r.record)
	if !r.hasName || !ok {
		return errInvalid
	}
	_, number := c.srv.reply(func() (any, error) { return nil, c.srv.cfg.Records.Save(r.recordID, data) })
	if number == resultOK && r.deviceID > 0 && !c.srv.reg.pairedID(r.deviceID, r.recordID) {
		c.srv.log.Info("pair record saved for a device that is not attached under that id",
			zap.String("udid", printable(r.recordID)), zap.Int64("device_id", r.deviceID), zap.Uint64("conn", c.number))
	}
	return number
}

// recordData returns a record in a form that Records takes: the data as sent,
// which must be a property list with a dictionary in it, or a dictionary sent
// as such, encoded. It does not refer to the request.
func recordData(v any) ([]byte, bool) {
	switch v := v.(type) {
	case []byte:
		if len(v) < minRecord {
			return nil, false
		}
		data := append([]byte(nil), v...)
		var dict map[string]any
		if err := plist.Unmarshal(data, &dict); err != nil || dict == nil {
			return nil, false
		}
		return data, true
	case map[string]any:
		data, err := plist.MarshalXML(v)
		return data, err == nil
	}
	return nil, false
}

// reply calls Records, but waits no longer than the record timeout: a client
// gets an answer even if the disk gives none. A late call still counts against
// RecordCalls, and Close waits for it. It returns the encoded value, nil if the
// value is nil, or the Number for the error.
func (s *Server) reply(call func() (any, error)) (payload []byte, number uint32) {
	t := time.NewTimer(s.cfg.RecordTimeout)
	defer t.Stop()
	select {
	case s.calls <- struct{}{}:
	case <-t.C:
		return nil, uint32(syscall.ETIMEDOUT)
	}
	type answer struct {
		value any
		err   error
	}
	done := make(chan answer, 1)
	s.wg.Go(func() {
		defer func() { <-s.calls }()
		v, err := call()
		done <- answer{v, err}
	})
	select {
	case a := <-done:
		if a.err != nil {
			s.log.Debug("pair record request", zap.Error(a.err))
			return nil, s.errno(a.err)
		}
		if a.value == nil {
			return nil, resultOK
		}
		payload, err := plist.MarshalXML(a.value)
		if err != nil {
			return nil, s.errno(fmt.Errorf("encode reply: %w", err))
		}
		return payload, resultOK
	case <-t.C:
		s.log.Warn("pair records do not answer", zap.Duration("after", s.cfg.RecordTimeout))
		return nil, uint32(syscall.ETIMEDOUT)
	}
}

// errno is Config.Errno, kept from calling an error success.
func (s *Server) errno(err error) uint32 {
	if n := s.cfg.Errno(err); n > 0 {
		return uint32(n)
	}
	return uint32(syscall.ENOENT)
}
