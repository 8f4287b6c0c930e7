package lockdown

import (
	"fmt"
	"reflect"

	"gomuxd/plist"
)

// decode decodes a message into v. An error is ErrProtocol and names the key.
func decode(message []byte, v any) error {
	if err := plist.Unmarshal(message, v); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}

// checkReply returns nil if message grants request, *Error if it refuses it and
// ErrProtocol if it is no reply to it. Only a refusal may go without the Request
// key.
func checkReply(request string, message []byte) error {
	var reply struct {
		Request string `plist:"Request"`
		Result  string `plist:"Result"` // before iOS 5
		Error   string `plist:"Error"`
	}
	if err := decode(message, &reply); err != nil {
		return err
	}
	if reply.Request != request && reply.Request != "" {
		return fmt.Errorf("%w: reply to %s instead of %s", ErrProtocol, quote(reply.Request), request)
	}
	name := ErrorName(reply.Error)
	if name == "" && reply.Result != "Success" {
		name = ErrorName(reply.Result) // "Failure", which is ErrFailure
	}
	switch {
	case name == ErrMCChallengeRequired:
		return challengeRequired(request, message)
	case name != "":
		return &Error{Name: name, Request: request}
	case reply.Request == "":
		return fmt.Errorf("%w: reply names no request", ErrProtocol)
	}
	return nil
}

func challengeRequired(request string, message []byte) error {
	var reply struct {
		ExtendedResponse struct {
			PairingChallenge []byte `plist:"PairingChallenge"`
		} `plist:"ExtendedResponse"`
	}
	if err := decode(message, &reply); err != nil {
		return err
	}
	return &Error{
		Name:             ErrMCChallengeRequired,
		Request:          request,
		PairingChallenge: reply.ExtendedResponse.PairingChallenge,
	}
}

// decodeValue stores the Value of a reply in *v, which may be anything that
// package plist decodes into, and says whether there is one. After an error *v
// is as it was.
func decodeValue(message []byte, v any) (found bool, err error) {
	to := reflect.ValueOf(v)
	if to.Kind() != reflect.Pointer || to.IsNil() {
		return false, fmt.Errorf("%T is no pointer to decode into", v)
	}
	reply := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: "Value", Type: to.Type(), Tag: `plist:"Value"`,
	}}))
	if err := decode(message, reply.Interface()); err != nil {
		return false, err
	}
	value := reply.Elem().Field(0)
	if value.IsNil() {
		return false, nil
	}
	to.Elem().Set(value.Elem())
	return true, nil
}
