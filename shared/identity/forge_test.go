package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"path/filepath"
	"testing"
	"time"
)

// forge signs a leaf for localhost with the CA's stolen key.
func forge(t *testing.T, pki *authority, usage []x509.ExtKeyUsage, uris ...string) tls.Certificate {
	t.Helper()
	block, _ := pem.Decode(readAll(t, filepath.Join(pki.dir, "ca", "ca-key.pem")))
	stolen, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	requireNoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	requireNoError(t, err)
	template := &x509.Certificate{
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: usage, DNSNames: []string{"localhost"},
	}
	for _, raw := range uris {
		u, err := url.Parse(raw)
		requireNoError(t, err)
		template.URIs = append(template.URIs, u)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, pki.ca.Certificate(), &key.PublicKey, stolen)
	requireNoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
