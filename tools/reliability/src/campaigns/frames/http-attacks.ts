import type { SeededRandom } from '@millrace/base'

/** What a client of HTTP sends on the broker's port. */
export interface HttpAttack {
  readonly bytes: Buffer
  /** Another request is hidden in it, for `/healthz`: its answer must not be seen. */
  readonly hidesRequest: boolean
  /** It is that request, and nothing else: its answer must be seen, or nobody could tell that it is not seen otherwise. */
  readonly isHealth?: boolean
}

/** What only an answer to `/healthz` holds. */
const HEALTH = '"status":"'

export const healthRequest: HttpAttack = {
  bytes: Buffer.from('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n', 'latin1'),
  hidesRequest: false,
  isHealth: true,
}

const HOSTS = [
  'localhost:9092',
  '127.0.0.1',
  '[::1]:9092',
  'evil.example',
  'localhost.evil.example',
  '',
  'a b',
  '[::1',
  '\u0001',
]
const ORIGINS = ['http://localhost:9092', 'https://evil.example', 'null', 'http://', 'file://', 'x'.repeat(5000)]
const PATHS = [
  '/metrics',
  '/healthz',
  '/absent',
  '/',
  '*',
  '//',
  '/../metrics',
  '/%2e%2e/%00',
  'http://evil.example/healthz',
  '',
]
const VERBS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'PRI',
  'GETT',
  'G',
  'Z'.repeat(3000),
]
const VERSIONS = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.11', 'ICY']

/** Two readings of one length: what one of them takes for a body is a request to the other. Each ends before the hidden request. */
const AMBIGUOUS: readonly (readonly string[])[] = [
  ['Content-Length: 5', 'Transfer-Encoding: chunked', '', '0', ''],
  ['Transfer-Encoding: chunked', 'Content-Length: 5', '', '0', ''],
  ['Content-Length: 5', 'Content-Length: 6', ''],
  ['Content-Length: +5', ''],
  ['Content-Length: 0x5', ''],
  ['Content-Length: -1', ''],
  ['Content-Length: 5, 5', ''],
  ['Content-Length : 5', ''],
  ['Content-Length:', ' 5', ''],
  ['Transfer-Encoding : chunked', ''],
  ['Transfer-Encoding: xchunked', ''],
  ['Transfer-Encoding: chunked, identity', ''],
  ['Transfer-Encoding: chunked', '', 'xyz'],
  ['Transfer-Encoding: chunked', '', '-1', ''],
  ['Transfer-Encoding: chunked', '', 'ffffffffffffffff0', ''],
]

/** HTTP as attackers, broken proxies and lost clients speak it. */
export function httpAttack(random: SeededRandom): HttpAttack {
  const draw = (count: number) => random.uint32() % count
  const pick = <T>(values: readonly T[]): T => values[draw(values.length)]!
  const request = (lines: readonly string[]) => `${lines.join('\r\n')}\r\n\r\n`
  const text = (value: string, hidesRequest = false): HttpAttack => ({
    bytes: Buffer.from(value, 'latin1'),
    hidesRequest,
  })
  switch (draw(8)) {
    case 0: {
      const hidden = ['GET /healthz HTTP/1.1', 'Host: localhost']
      return text(request(['POST /absent HTTP/1.1', 'Host: localhost', ...pick(AMBIGUOUS), ...hidden]), true)
    }
    case 1:
      return text(
        request([
          `${pick(VERBS)} ${pick(PATHS)} ${pick(VERSIONS)}`,
          `Host: ${pick(HOSTS)}`,
          `Origin: ${pick(ORIGINS)}`,
        ]),
      )
    case 2:
      // Sent ahead, as many as one likes.
      return text(request([`GET ${pick(PATHS.slice(0, 3))} HTTP/1.1`, 'Host: localhost']).repeat(1 + draw(40)))
    case 3:
      return text(request(['GET /metrics HTTP/1.1', 'Host: localhost', `X: ${'x'.repeat(draw(40_000))}`]))
    case 4:
      return text(
        request([
          'GET /metrics HTTP/1.1',
          'Host: localhost',
          ...Array.from({ length: draw(3000) }, (_, n) => `X-${n}: ${n}`),
        ]),
      )
    case 5: {
      // Upgrades that nobody offers.
      const upgrade = [
        'Connection: Upgrade',
        `Upgrade: ${pick(['websocket', 'h2c', 'TLS/1.0'])}`,
        'Sec-WebSocket-Key: eA==',
      ]
      return text(request(['GET /healthz HTTP/1.1', 'Host: localhost', ...upgrade]))
    }
    case 6: {
      // Not finished: the header, or its body, never comes.
      const whole = request([
        'POST /metrics HTTP/1.1',
        'Host: localhost',
        'Content-Type: application/json',
        'Content-Length: 100',
      ])
      return text(`${whole}{"a":`.slice(0, 1 + draw(whole.length)))
    }
    default: {
      const bytes = Buffer.from(
        request(['GET /healthz HTTP/1.1', 'Host: localhost', 'Connection: keep-alive']),
        'latin1',
      )
      // The first byte stays a verb's: it is what makes this HTTP.
      for (let changes = 1 + draw(4); changes > 0; changes--) bytes[1 + draw(bytes.length - 1)] = draw(256)
      return { bytes, hidesRequest: false }
    }
  }
}

/** What is wrong with the answers to an attack, or null. `text` is all that came back. */
export function httpComplaint(attack: HttpAttack, text: string): string | null {
  if (text !== '' && !/^HTTP\/1\.1 \d{3} /.test(text))
    return `an answer that begins with ${JSON.stringify(text.slice(0, 40))}`
  if (attack.hidesRequest && text.includes(HEALTH)) return 'a hidden request was answered'
  if (attack.isHealth === true && !text.includes(HEALTH))
    return `a decent request was answered with ${JSON.stringify(text.slice(0, 200))}`
  return null
}
