import { timingSafeEqual } from 'node:crypto'
import {
  SCRAM_MIN_ITERATIONS,
  type ScramMechanism,
  saltPasswordAsync,
  scramClientKey,
  scramHmac,
  scramServerKey,
  scramStoredKey,
} from './scram-credential.ts'
import { ScramError } from './scram-error.ts'
import {
  formatClientFinalWithoutProof,
  formatClientFirst,
  parseServerFinal,
  parseServerFirst,
  scramAuthMessage,
} from './scram-messages.ts'

/** More work than any server has reason to ask for: half a second, which a hostile one could otherwise turn into hours. */
const MAX_ITERATIONS = 1_000_000

export interface ScramClientOptions {
  readonly mechanism: ScramMechanism
  readonly username: string
  readonly password: string
  /** Fresh for each exchange: at least 18 random bytes as text of printable ASCII without commas. */
  readonly nonce: string
  /** The name is the id of a delegation token and the password its HMAC (KIP-48). */
  readonly tokenAuth?: boolean
  /** Replaces the computation of the salted password, where Node's is missing or to keep it for the next connection. */
  readonly saltPassword?: typeof saltPasswordAsync
}

/**
 * A client's side of one exchange: send `first`, then what `onServerFirst` gives for the server's answer, and give the last answer to
 * `onServerFinal`, which proves the server. Throws {@link ScramError}.
 */
export class ScramClient {
  /** The first message. */
  readonly first: Buffer
  private readonly options: ScramClientOptions
  private readonly firstBare: string
  private expectedSignature: Buffer | null

  constructor(options: ScramClientOptions) {
    const extensions = new Map(options.tokenAuth === true ? [['tokenauth', 'true']] : [])
    const { message, bare } = formatClientFirst(options.username, options.nonce, extensions)
    this.first = Buffer.from(message)
    this.options = options
    this.firstBare = bare
    this.expectedSignature = null
  }

  /** The final message, which holds the proof. */
  async onServerFirst(message: Buffer): Promise<Buffer> {
    const { mechanism, password, nonce, saltPassword = saltPasswordAsync } = this.options
    const server = parseServerFirst(message)
    if (!server.nonce.startsWith(nonce) || server.nonce.length === nonce.length) {
      throw new ScramError('SCRAM_SERVER_INVALID', 'The server did not extend our nonce')
    }
    if (server.iterations < SCRAM_MIN_ITERATIONS || server.iterations > MAX_ITERATIONS) {
      throw new ScramError('SCRAM_SERVER_INVALID', `The server asks for ${server.iterations} iterations`)
    }
    const salted = await saltPassword(mechanism, password, server.salt, server.iterations)
    const withoutProof = formatClientFinalWithoutProof(server.nonce)
    const authMessage = scramAuthMessage(this.firstBare, server.text, withoutProof)
    const proof = scramClientKey(mechanism, salted)
    const signature = scramHmac(mechanism, scramStoredKey(mechanism, proof), authMessage)
    for (let position = 0; position < proof.length; position++) proof[position]! ^= signature[position]!
    this.expectedSignature = scramHmac(mechanism, scramServerKey(mechanism, salted), authMessage)
    return Buffer.from(`${withoutProof},p=${proof.toString('base64')}`)
  }

  /** Returns if the server knows the credentials too. */
  onServerFinal(message: Buffer): void {
    const { error, signature } = parseServerFinal(message)
    if (error !== null) throw new ScramError('SCRAM_SERVER_INVALID', `The server refused: ${error}`)
    const expected = this.expectedSignature
    if (expected === null || signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
      throw new ScramError('SCRAM_SERVER_INVALID', 'The server did not prove that it knows the credentials')
    }
  }
}
