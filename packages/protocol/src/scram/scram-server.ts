import { timingSafeEqual } from 'node:crypto'
import { assert } from '@millrace/base'
import { type ScramCredential, type ScramMechanism, scramHmac, scramStoredKey } from './scram-credential.ts'
import { ScramError } from './scram-error.ts'
import {
  type ClientFirst,
  formatServerFinal,
  formatServerFirst,
  parseClientFinal,
  parseClientFirst,
  scramAuthMessage,
} from './scram-messages.ts'

/**
 * A server's side of one exchange. The caller finds the credential between the two steps of the first message:
 *
 *     const { username, tokenAuth } = server.onClientFirst(message)
 *     send(server.challenge(credentialOf(username) ?? decoyScramCredential(mechanism, username, secret)))
 *     send(server.onClientFinal(answer)) // throws unless the password is right
 *
 * Throws {@link ScramError}; the connection is then closed, the exchange cannot go on.
 */
export class ScramServer {
  private readonly mechanism: ScramMechanism
  private readonly serverNonce: string
  private client: ClientFirst | null
  private credential: ScramCredential | null
  private first: string

  /** `serverNonce`: fresh for each exchange, at least 18 random bytes as text of printable ASCII without commas. */
  constructor(mechanism: ScramMechanism, serverNonce: string) {
    this.mechanism = mechanism
    this.serverNonce = serverNonce
    this.client = null
    this.credential = null
    this.first = ''
  }

  /** Who asks, and whether the name is the id of a delegation token. An authorization id other than the name is refused. */
  onClientFirst(message: Buffer): { username: string; tokenAuth: boolean } {
    assert(this.client === null, 'an exchange has one first message')
    const client = parseClientFirst(message)
    if (client.authorizationId !== '' && client.authorizationId !== client.username) {
      throw new ScramError('SCRAM_MALFORMED', 'The authorization id differs from the user name')
    }
    this.client = client
    return { username: client.username, tokenAuth: client.extensions.get('tokenauth')?.toLowerCase() === 'true' }
  }

  /** The first answer, for the credential stored under the name or a decoy. */
  challenge(credential: ScramCredential): Buffer {
    assert(this.client !== null && this.credential === null, 'the challenge follows the first message')
    this.credential = credential
    this.first = formatServerFirst(this.client.nonce, this.serverNonce, credential.salt, credential.iterations)
    return Buffer.from(this.first)
  }

  /** The final answer, if the client knows the password. */
  onClientFinal(message: Buffer): Buffer {
    const { mechanism, client, credential } = this
    assert(client !== null && credential !== null, 'the final message follows the challenge')
    this.credential = null // one attempt
    const final = parseClientFinal(message)
    // The nonce must be ours, not merely well formed: otherwise a recorded exchange could be replayed (CVE-2024-56128).
    if (final.nonce !== client.nonce + this.serverNonce) {
      throw new ScramError('SCRAM_MALFORMED', 'The nonce of the final message is not that of this exchange')
    }
    if (final.channelBinding !== client.gs2Header) {
      throw new ScramError('SCRAM_MALFORMED', 'The channel binding differs from that of the first message')
    }
    const authMessage = scramAuthMessage(client.bare, this.first, final.withoutProof)
    const clientKey = scramHmac(mechanism, credential.storedKey, authMessage)
    if (final.proof.length !== clientKey.length) throw wrongCredentials()
    for (let position = 0; position < clientKey.length; position++) clientKey[position]! ^= final.proof[position]!
    const storedKey = scramStoredKey(mechanism, clientKey)
    if (storedKey.length !== credential.storedKey.length || !timingSafeEqual(storedKey, credential.storedKey)) {
      throw wrongCredentials()
    }
    return Buffer.from(formatServerFinal(scramHmac(mechanism, credential.serverKey, authMessage)))
  }
}

function wrongCredentials(): ScramError {
  return new ScramError('SCRAM_CREDENTIALS_INVALID', 'Authentication failed')
}
