package lockdown

import (
	"errors"
	"strings"
	"testing"
)

const replyKey = "<key>Value</key>"

func TestNewRecordAsksThePhone(t *testing.T) {
	for _, tt := range []struct {
		name, version, wifi string
		sha1                bool
	}{
		{name: "modern", version: "17.5", wifi: "aa:bb:cc:dd:ee:ff"},
		{name: "no wi-fi", version: "4.0"},
		{name: "before ios 4", version: "3.1.3", wifi: "aa:bb:cc:dd:ee:ff", sha1: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, Config{}, func(p *phone) {
				p.expect("GetValue", "<string>DevicePublicKey</string>")
				p.reply("GetValue", replyKey+data(devicePEM(&deviceKey().PublicKey)))
				p.expect("GetValue", "<string>WiFiAddress</string>")
				if tt.wifi == "" {
					p.refuse("GetValue", "MissingValue")
				} else {
					p.reply("GetValue", replyKey+"<string>"+tt.wifi+"</string>")
				}
				p.serveGeneration("iPhone", tt.version)
			})
			rec, err := c.NewRecord(t.Context(), hostKeys(), testBUID)
			if err != nil {
				t.Fatal(err)
			}
			if rec.WiFiMACAddress != tt.wifi || rec.SystemBUID != testBUID || rec.HostID == "" {
				t.Errorf("record = %q %q %q, want the phone's and the host's ids", rec.WiFiMACAddress, rec.SystemBUID, rec.HostID)
			}
			if got := strings.HasPrefix(parseCert(t, rec.DeviceCertificate).SignatureAlgorithm.String(), "SHA1"); got != tt.sha1 {
				t.Errorf("signed with SHA-1: %v, want %v", got, tt.sha1)
			}
		})
	}
}

func TestNewRecordWithoutAKey(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script func(*phone)
		want   error
	}{
		{"refused", func(p *phone) { p.expect("GetValue"); p.refuse("GetValue", "GetProhibited") }, ErrGetProhibited},
		{"a string", func(p *phone) { p.answer("GetValue", replyKey+"<string>x</string>") }, ErrProtocol},
		{"garbage", func(p *phone) {
			p.answer("GetValue", replyKey+"<data>AAAA</data>")
			p.answer("GetValue", replyKey+"<string>aa:bb:cc:dd:ee:ff</string>")
			p.serveGeneration("iPhone", "17.5")
		}, ErrProtocol},
		{"wi-fi of the wrong kind", func(p *phone) {
			p.answer("GetValue", replyKey+data(devicePEM(&deviceKey().PublicKey)))
			p.answer("GetValue", replyKey+"<true/>")
		}, ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, Config{}, tt.script)
			if _, err := c.NewRecord(t.Context(), hostKeys(), testBUID); !errors.Is(err, tt.want) {
				t.Errorf("NewRecord = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestPair(t *testing.T) {
	rec := newRecord(t, &deviceKey().PublicKey, false)
	c := connect(t, Config{}, func(p *phone) {
		got := p.expect("Pair",
			"<key>ProtocolVersion</key><string>2</string>",
			"<key>PairingOptions</key><dict><key>ExtendedPairingErrors</key><true/></dict>",
			"<key>HostID</key><string>"+rec.HostID+"</string>",
			"<key>SystemBUID</key><string>"+testBUID+"</string>",
			"<key>DeviceCertificate</key><data>", "<key>HostCertificate</key><data>", "<key>RootCertificate</key><data>")
		for _, secret := range []string{"PrivateKey", "EscrowBag", "WiFiMACAddress"} {
			if strings.Contains(got, secret) {
				t.Errorf("Pair carries %s", secret)
			}
		}
		p.refuse("Pair", "PairingDialogResponsePending")
		p.answer("Pair", "<key>EscrowBag</key><data>AQIDBA==</data>")
	})
	if _, err := c.Pair(t.Context(), rec, PairOptions{}); !errors.Is(err, ErrPairingDialogResponsePending) {
		t.Fatalf("first Pair = %v, want the pending dialog", err)
	}
	got, err := c.Pair(t.Context(), rec, PairOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if string(got.EscrowBag) != "\x01\x02\x03\x04" {
		t.Errorf("escrow bag = %x, want the phone's", got.EscrowBag)
	}
	if rec.EscrowBag != nil {
		t.Errorf("the caller's record was changed")
	}
	if got.HostID != rec.HostID || string(got.RootPrivateKey) != string(rec.RootPrivateKey) || got.WiFiMACAddress != rec.WiFiMACAddress {
		t.Errorf("paired record is not the one given")
	}
}

func TestPairWithoutEscrowBag(t *testing.T) {
	rec := newRecord(t, &deviceKey().PublicKey, false)
	rec.EscrowBag = []byte("kept")
	c := connect(t, Config{}, func(p *phone) {
		p.answer("Pair", "")
		p.answer("Pair", "<key>EscrowBag</key><string>x</string>")
	})
	got, err := c.Pair(t.Context(), rec, PairOptions{})
	if err != nil || string(got.EscrowBag) != "kept" {
		t.Errorf("Pair = bag %q, %v; want the record's own bag", got.EscrowBag, err)
	}
	if _, err := c.Pair(t.Context(), rec, PairOptions{}); !errors.Is(err, ErrProtocol) {
		t.Errorf("bag of the wrong kind = %v, want ErrProtocol", err)
	}
}

func TestPairSupervised(t *testing.T) {
	rec := newRecord(t, &deviceKey().PublicKey, false)
	c := connect(t, Config{}, func(p *phone) {
		p.expect("Pair", "<key>SupervisorCertificate</key>"+data([]byte("supervisor")), "<key>ExtendedPairingErrors</key><true/>")
		p.reply("Pair", "<key>Error</key><string>MCChallengeRequired</string>"+
			"<key>ExtendedResponse</key><dict><key>PairingChallenge</key>"+data([]byte("challenge"))+"</dict>")
		p.expect("Pair", "<key>ChallengeResponse</key>"+data([]byte("signed challenge")))
		p.reply("Pair", "<key>EscrowBag</key>"+data([]byte("bag")))
	})
	_, err := c.Pair(t.Context(), rec, PairOptions{SupervisorCertificate: []byte("supervisor")})
	var refused *Error
	if !errors.As(err, &refused) || refused.Name != ErrMCChallengeRequired {
		t.Fatalf("Pair = %v, want ErrMCChallengeRequired", err)
	}
	signed := append([]byte("signed "), refused.PairingChallenge...)
	if _, err := c.Pair(t.Context(), rec, PairOptions{ChallengeResponse: signed}); err != nil {
		t.Errorf("Pair = %v", err)
	}
}

func TestValidateAndUnpair(t *testing.T) {
	rec := newRecord(t, &deviceKey().PublicKey, false)
	rec.EscrowBag = []byte("secret")
	c := connect(t, Config{}, func(p *phone) {
		for _, request := range []string{"ValidatePair", "Unpair"} {
			got := p.expect(request, "<key>HostID</key><string>"+rec.HostID+"</string>", "<key>RootCertificate</key>")
			if strings.Contains(got, "PrivateKey") || strings.Contains(got, "EscrowBag") {
				t.Errorf("%s carries secrets", request)
			}
			p.reply(request, "")
			p.expect(request)
			p.refuse(request, "InvalidHostID")
		}
	})
	ctx := t.Context()
	if err := c.ValidatePair(ctx, rec); err != nil {
		t.Errorf("ValidatePair = %v", err)
	}
	if err := c.ValidatePair(ctx, rec); !errors.Is(err, ErrInvalidHostID) {
		t.Errorf("ValidatePair = %v, want ErrInvalidHostID", err)
	}
	if err := c.Unpair(ctx, rec); err != nil {
		t.Errorf("Unpair = %v", err)
	}
	if err := c.Unpair(ctx, rec); !errors.Is(err, ErrInvalidHostID) {
		t.Errorf("Unpair = %v, want ErrInvalidHostID", err)
	}
}
