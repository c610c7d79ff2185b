import { describe, expect, it } from 'vitest'
import { sniffProtocol } from './protocol-sniffer.ts'

describe('protocol sniffing', () => {
  it('takes every frame length up to the cap for Kafka', () => {
    for (const size of [8, 1024, 100 * 1024 * 1024, 352 * 1024 * 1024 - 1]) {
      const bytes = Buffer.alloc(4)
      bytes.writeInt32BE(size)
      expect(sniffProtocol(bytes[0]!)).toBe('kafka')
    }
  })

  it('knows a TLS hello and the HTTP verbs', () => {
    expect(sniffProtocol(0x16)).toBe('tls')
    for (const verb of ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'CONNECT']) {
      expect(sniffProtocol(verb.charCodeAt(0))).toBe('http')
    }
  })

  it('gives everything else no name', () => {
    for (const byte of [0x17, 0x20, 0x61, 0x80, 0xff]) expect(sniffProtocol(byte)).toBe('unknown')
  })
})
