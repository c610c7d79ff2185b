import { ConfigurationError } from '@millrace/base'
import type { RawSettings } from './layers.ts'

/** Several values are wrong, each by itself. The key is that of the first. */
export class WrongValuesError extends ConfigurationError {
  /** In the order in which they were given; at least two. */
  readonly errors: readonly ConfigurationError[]

  constructor(errors: readonly ConfigurationError[]) {
    super(errors[0]!.key, errors.map(({ message }) => message).join('; '))
    this.errors = errors
  }
}

/** Collects what is wrong with values, so that whoever corrects a file is told all of it at once. */
export class WrongValues {
  readonly #errors: ConfigurationError[] = []

  /** Runs it, and keeps the `ConfigurationError` that it throws. */
  collect(parse: () => void): void {
    try {
      parse()
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error
      this.#errors.push(error)
    }
  }

  /** Throws what was collected, in the order of the settings: one error as it is, several as `WrongValuesError`. */
  throwIfAny(texts: RawSettings): void {
    const place = new Map(Array.from(texts.keys(), (key, slot) => [key, slot]))
    // One value under both names is wrong once.
    const isSame = texts.get('broker.id') === texts.get('node.id') && this.#errors.some(({ key }) => key === 'node.id')
    const errors = this.#errors
      .filter(({ key }) => !(isSame && key === 'broker.id'))
      .sort((a, b) => (place.get(a.key) ?? -1) - (place.get(b.key) ?? -1))
    if (errors.length > 1) throw new WrongValuesError(errors)
    if (errors[0] !== undefined) throw errors[0]
  }
}
