import { describe, expect, it } from 'vitest'
import { refuseHttpRequest } from './http-access.ts'

const rules = { allowedHosts: ['broker.example'], allowedOrigins: ['https://console.example'] }

describe('HTTP access', () => {
  it.each(['localhost:9092', '127.0.0.1:9092', '[::1]:9092', '10.1.2.3', 'broker.example:9092', 'BROKER.example'])(
    'lets %s name the broker',
    (host) => {
      expect(refuseHttpRequest(rules, host, undefined)).toBeNull()
    },
  )

  it.each(['evil.example', 'localhost.evil.example:9092', 'a b', '', 'localhost:9092:1', 'http://localhost'])(
    'refuses the foreign or malformed host %j',
    (host) => {
      expect(refuseHttpRequest(rules, host, undefined)).toMatch(/host/i)
    },
  )

  it('refuses a request without Host', () => {
    expect(refuseHttpRequest(rules, undefined, undefined)).toMatch(/Host/)
  })

  it('lets its own pages and the allowed origins in', () => {
    expect(refuseHttpRequest(rules, 'localhost:9092', 'http://localhost:9092')).toBeNull()
    expect(refuseHttpRequest(rules, 'localhost:9092', 'https://console.example')).toBeNull()
  })

  it.each(['https://evil.example', 'null', 'http://localhost:9093', 'https://console.example.evil'])(
    'refuses pages of origin %s',
    (origin) => {
      expect(refuseHttpRequest(rules, 'localhost:9092', origin)).toMatch(/origin/)
    },
  )
})
