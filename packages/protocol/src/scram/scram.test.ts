import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readVectors } from '../records/testing/vectors.ts'
import { ScramClient } from './scram-client.ts'
import {
  decoyScramCredential,
  formatScramCredential,
  parseScramCredential,
  type ScramMechanism,
  saltPassword,
  scramClientKey,
  scramCredentialFrom,
  scramMechanismOf,
  scramMechanismOfType,
} from './scram-credential.ts'
import { ScramError } from './scram-error.ts'
import {
  formatClientFirst,
  parseClientFinal,
  parseClientFirst,
  parseServerFinal,
  parseServerFirst,
  scramAuthMessage,
} from './scram-messages.ts'
import { ScramServer } from './scram-server.ts'

interface ExchangeRow {
  readonly clientFirstParses: boolean
  readonly mechanism: ScramMechanism
  readonly username: string
  readonly password: string
  readonly salt: string
  readonly iterations: number
  readonly clientNonce: string
  readonly serverNonce: string
  readonly extensions?: { readonly tokenauth: string }
  readonly clientFirst: string
  readonly serverFirst: string
  readonly clientFinal: string
  readonly serverFinal: string
  readonly authMessage: string
  readonly saltedPassword: string
  readonly clientKey: string
  readonly credential: string
}

interface ParseRow {
  readonly parse: 'clientFirst' | 'serverFirst' | 'clientFinal' | 'serverFinal'
  readonly text: string
  readonly ok: boolean
}

const rows = readVectors<ExchangeRow | ParseRow>('scram')
const exchanges = rows.filter((row): row is ExchangeRow => 'mechanism' in row)
const parses = rows.filter((row): row is ParseRow => 'parse' in row)
const parsers = {
  clientFirst: parseClientFirst,
  serverFirst: parseServerFirst,
  clientFinal: parseClientFinal,
  serverFinal: parseServerFinal,
}

function clientOf(row: ExchangeRow, password = row.password): ScramClient {
  const { mechanism, username, clientNonce: nonce } = row
  return new ScramClient({ mechanism, username, password, nonce, tokenAuth: row.extensions !== undefined })
}

describe('golden exchanges', () => {
  it('are computed and written by the client to the same bytes', async () => {
    expect(exchanges.length).toBeGreaterThan(20)
    for (const row of exchanges) {
      const client = clientOf(row)
      expect(client.first.toString()).toBe(row.clientFirst)
      expect((await client.onServerFirst(Buffer.from(row.serverFirst))).toString()).toBe(row.clientFinal)
      client.onServerFinal(Buffer.from(row.serverFinal))
    }
  })

  it('are answered by the server with the same bytes', () => {
    for (const row of exchanges) {
      const server = new ScramServer(row.mechanism, row.serverNonce)
      if (!row.clientFirstParses) {
        expect(() => server.onClientFirst(Buffer.from(row.clientFirst))).toThrow(ScramError)
        continue
      }
      const asked = server.onClientFirst(Buffer.from(row.clientFirst))
      expect(asked).toEqual({ username: row.username, tokenAuth: row.extensions !== undefined })
      expect(server.challenge(parseScramCredential(row.credential)!).toString()).toBe(row.serverFirst)
      expect(server.onClientFinal(Buffer.from(row.clientFinal)).toString()).toBe(row.serverFinal)
    }
  })

  it('give the same keys and stored credential', () => {
    for (const row of exchanges) {
      const salt = Buffer.from(row.salt, 'base64')
      const salted = saltPassword(row.mechanism, row.password, salt, row.iterations)
      expect(salted.toString('base64')).toBe(row.saltedPassword)
      expect(scramClientKey(row.mechanism, salted).toString('base64')).toBe(row.clientKey)
      const credential = scramCredentialFrom(row.mechanism, salted, salt, row.iterations)
      expect(formatScramCredential(credential)).toBe(row.credential)
      const [first, withoutProof] = [formatClientFirst(row.username, row.clientNonce), row.clientFinal.split(',p=')[0]!]
      if (row.extensions === undefined) {
        expect(scramAuthMessage(first.bare, row.serverFirst, withoutProof)).toBe(row.authMessage)
      }
    }
  })

  it('parse or do not as in Kafka', () => {
    expect(parses.length).toBeGreaterThan(10)
    for (const { parse, text, ok } of parses) {
      const read = () => parsers[parse](Buffer.from(text))
      if (ok) expect(read, text).not.toThrow()
      else expect(read, text).toThrow(ScramError)
    }
  })
})

describe('a server', () => {
  const row = exchanges.find((exchange) => exchange.clientFirstParses && exchange.extensions === undefined)!

  function challenged(): ScramServer {
    const server = new ScramServer(row.mechanism, row.serverNonce)
    server.onClientFirst(Buffer.from(row.clientFirst))
    server.challenge(parseScramCredential(row.credential)!)
    return server
  }

  it('refuses a wrong password, and a proof of another length', async () => {
    const final = await clientOf(row, 'wrong').onServerFirst(Buffer.from(row.serverFirst))
    expect(() => challenged().onClientFinal(final)).toThrow(
      expect.objectContaining({ code: 'SCRAM_CREDENTIALS_INVALID' }),
    )
    const short = Buffer.from(`${row.clientFinal.split(',p=')[0]},p=QUJD`)
    expect(() => challenged().onClientFinal(short)).toThrow(
      expect.objectContaining({ code: 'SCRAM_CREDENTIALS_INVALID' }),
    )
  })

  it('refuses a nonce that is not of this exchange, and another channel binding', () => {
    const nonce = row.clientNonce + row.serverNonce
    const forged = row.clientFinal.replace(nonce, `${row.clientNonce}another`)
    expect(() => challenged().onClientFinal(Buffer.from(forged))).toThrow(/nonce/)
    const bound = row.clientFinal.replace('c=biws', 'c=eSws')
    expect(() => challenged().onClientFinal(Buffer.from(bound))).toThrow(/channel binding/)
  })

  it('takes one attempt only', () => {
    const server = challenged()
    server.onClientFinal(Buffer.from(row.clientFinal))
    expect(() => server.onClientFinal(Buffer.from(row.clientFinal))).toThrow()
  })

  it('takes an authorization id only if it is the name', () => {
    const server = () => new ScramServer('SCRAM-SHA-256', 'n')
    expect(server().onClientFirst(Buffer.from('n,a=me,n=me,r=abc')).username).toBe('me')
    expect(() => server().onClientFirst(Buffer.from('n,a=you,n=me,r=abc'))).toThrow(/authorization id/)
  })

  it('answers unknown users as known ones, with the same salt each time', async () => {
    const secret = Buffer.alloc(32, 7)
    const decoy = decoyScramCredential('SCRAM-SHA-512', 'nobody', secret)
    expect(decoyScramCredential('SCRAM-SHA-512', 'nobody', secret)).toEqual(decoy)
    expect(decoyScramCredential('SCRAM-SHA-512', 'somebody', secret).salt).not.toEqual(decoy.salt)
    const client = new ScramClient({ mechanism: 'SCRAM-SHA-512', username: 'nobody', password: 'x', nonce: 'abc' })
    const server = new ScramServer('SCRAM-SHA-512', 'def')
    server.onClientFirst(client.first)
    const final = await client.onServerFirst(server.challenge(decoy))
    expect(() => server.onClientFinal(final)).toThrow(expect.objectContaining({ code: 'SCRAM_CREDENTIALS_INVALID' }))
  })
})

describe('a client', () => {
  const options = { mechanism: 'SCRAM-SHA-256', username: 'u', password: 'p', nonce: 'abc' } as const

  it('refuses a server that does not extend its nonce or asks for too few or too many iterations', async () => {
    for (const first of [
      'r=abc,s=QUJD,i=4096',
      'r=xyz,s=QUJD,i=4096',
      'r=abcd,s=QUJD,i=4095',
      'r=abcd,s=QUJD,i=2000000000',
    ]) {
      const client = new ScramClient(options)
      await expect(client.onServerFirst(Buffer.from(first))).rejects.toMatchObject({ code: 'SCRAM_SERVER_INVALID' })
    }
  })

  it('refuses a server that reports an error or signs wrongly', async () => {
    const client = new ScramClient(options)
    expect(() => client.onServerFinal(Buffer.from('v=QUJD'))).toThrow(/prove/)
    await client.onServerFirst(Buffer.from('r=abcd,s=QUJD,i=4096'))
    expect(() => client.onServerFinal(Buffer.from('e=other-error'))).toThrow(/other-error/)
    expect(() => client.onServerFinal(Buffer.from(`v=${Buffer.alloc(32).toString('base64')}`))).toThrow(/prove/)
  })
})

describe('messages', () => {
  it('keep any ASCII name', () => {
    const name = fc.string({
      minLength: 1,
      unit: fc.integer({ min: 1, max: 127 }).map((code) => String.fromCharCode(code)),
    })
    fc.assert(
      fc.property(name, (username) => {
        expect(parseClientFirst(Buffer.from(formatClientFirst(username, 'abc').message)).username).toBe(username)
      }),
    )
  })

  it('of any bytes are parsed or refused', () => {
    const pieces = fc.constantFrom(
      'n,',
      'a=',
      'n=',
      'r=',
      's=',
      'i=',
      'c=',
      'p=',
      'v=',
      'e=',
      ',',
      '=',
      'QUJD',
      '4096',
      'm=',
      '\0',
      'é',
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 })), { maxLength: 12 }), (parts) => {
        const message = Buffer.from(parts.join(''))
        for (const parser of Object.values(parsers)) {
          try {
            parser(message)
          } catch (error) {
            expect(error).toBeInstanceOf(ScramError)
          }
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('that are too long are refused without being searched', () => {
    expect(() => parseClientFirst(Buffer.from(`n,,n=${'u'.repeat(20_000)},r=abc`))).toThrow(ScramError)
  })
})

describe('stored credentials', () => {
  it('in text are refused when a part is missing, unknown or malformed', () => {
    const good = 'salt=QUJD,stored_key=QUJD,server_key=QUJD,iterations=4096'
    expect(formatScramCredential(parseScramCredential(good)!)).toBe(good)
    for (const text of [
      '',
      good.replace('salt=QUJD,', ''),
      good.replace('4096', '0'),
      good.replace('4096', 'many'),
      good.replace('salt=QUJD', 'salt=Q!'),
      `${good},more=1`,
      good.replace('salt', 'pepper'),
    ]) {
      expect(parseScramCredential(text)).toBeNull()
    }
  })

  it('belong to mechanisms with names and numbers', () => {
    expect(scramMechanismOf('SCRAM-SHA-512')).toBe('SCRAM-SHA-512')
    expect(scramMechanismOf('PLAIN')).toBeNull()
    expect([0, 1, 2, 3].map(scramMechanismOfType)).toEqual([null, 'SCRAM-SHA-256', 'SCRAM-SHA-512', null])
  })
})
