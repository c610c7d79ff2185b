import {
  formatScramCredential,
  parseClientFinal,
  parseClientFirst,
  parseScramCredential,
  parseServerFinal,
  parseServerFirst,
  ScramClient,
  ScramError,
  type ScramMechanism,
  ScramServer,
  saltPassword,
  scramAuthMessage,
  scramClientKey,
  scramCredentialFrom,
  scramServerKey,
  scramStoredKey,
} from '@millrace/protocol'
import { expectEqual, expectOneOf } from './expectations.ts'

/** A whole exchange. */
interface ExchangeRow {
  readonly mechanism: ScramMechanism
  readonly username: string
  readonly password: string
  readonly salt: string
  readonly iterations: number
  readonly clientNonce: string
  readonly serverNonce: string
  readonly extensions?: Readonly<Record<string, string>>
  readonly clientFirst: string
  readonly clientFirstParses: boolean
  readonly serverFirst: string
  readonly clientFinal: string
  readonly serverFinal: string
  readonly authMessage: string
  readonly saltedPassword: string
  readonly clientKey: string
  readonly storedKey: string
  readonly serverKey: string
  readonly clientProof: string
  readonly serverSignature: string
  readonly credential: string
}

/** A text that one of the parsers takes or refuses. */
interface ParseRow {
  readonly parse: 'clientFirst' | 'serverFirst' | 'clientFinal' | 'serverFinal'
  readonly text: string
  readonly ok: boolean
}

/** A row of scram. */
export type ScramRow = ExchangeRow | ParseRow

const parsers = {
  clientFirst: parseClientFirst,
  serverFirst: parseServerFirst,
  clientFinal: parseClientFinal,
  serverFinal: parseServerFinal,
}

/** Both sides write the row's messages from the row's secrets; parsers take exactly what Kafka's take. */
export async function checkScram(row: ScramRow): Promise<void> {
  if ('parse' in row) {
    expectEqual('parses', parses(row.parse, row.text), row.ok)
    return
  }
  expectOneOf('mechanism', row.mechanism, ['SCRAM-SHA-256', 'SCRAM-SHA-512'])
  checkKeys(row)
  await checkClient(row)
  checkServer(row)
}

function parses(name: ParseRow['parse'], text: string): boolean {
  try {
    parsers[name](Buffer.from(text))
    return true
  } catch (error) {
    if (!(error instanceof ScramError)) throw error
    return false
  }
}

function checkKeys(row: ExchangeRow): void {
  const salt = Buffer.from(row.salt, 'base64')
  const salted = saltPassword(row.mechanism, row.password, salt, row.iterations)
  expectEqual('salted password', salted.toString('base64'), row.saltedPassword)
  const clientKey = scramClientKey(row.mechanism, salted)
  expectEqual('client key', clientKey.toString('base64'), row.clientKey)
  expectEqual('stored key', scramStoredKey(row.mechanism, clientKey).toString('base64'), row.storedKey)
  expectEqual('server key', scramServerKey(row.mechanism, salted).toString('base64'), row.serverKey)
  const credential = scramCredentialFrom(row.mechanism, salted, salt, row.iterations)
  expectEqual('credential', formatScramCredential(credential), row.credential)
}

async function checkClient(row: ExchangeRow): Promise<void> {
  const { mechanism, username, password, clientNonce: nonce } = row
  const client = new ScramClient({ mechanism, username, password, nonce, tokenAuth: row.extensions !== undefined })
  expectEqual('client first', client.first.toString(), row.clientFirst)
  const final = await client.onServerFirst(Buffer.from(row.serverFirst))
  expectEqual('client final', final.toString(), row.clientFinal)
  client.onServerFinal(Buffer.from(row.serverFinal))
}

function checkServer(row: ExchangeRow): void {
  expectEqual('client first parses', parses('clientFirst', row.clientFirst), row.clientFirstParses)
  const { proof, withoutProof } = parseClientFinal(Buffer.from(row.clientFinal))
  expectEqual('client proof', proof.toString('base64'), row.clientProof)
  const { signature } = parseServerFinal(Buffer.from(row.serverFinal))
  expectEqual('server signature', signature.toString('base64'), row.serverSignature)
  expectEqual('nonce', parseServerFirst(Buffer.from(row.serverFirst)).nonce, row.clientNonce + row.serverNonce)
  const bare = row.clientFirst.slice('n,,'.length)
  expectEqual('auth message', scramAuthMessage(bare, row.serverFirst, withoutProof), row.authMessage)
  if (!row.clientFirstParses) return

  expectEqual('what is signed of the first message', parseClientFirst(Buffer.from(row.clientFirst)).bare, bare)
  const server = new ScramServer(row.mechanism, row.serverNonce)
  const asked = server.onClientFirst(Buffer.from(row.clientFirst))
  expectEqual('user', asked, { username: row.username, tokenAuth: row.extensions?.tokenauth === 'true' })
  const credential = parseScramCredential(row.credential)
  if (credential === null) throw new Error('the stored credential does not parse')
  expectEqual('server first', server.challenge(credential).toString(), row.serverFirst)
  expectEqual('server final', server.onClientFinal(Buffer.from(row.clientFinal)).toString(), row.serverFinal)
}
