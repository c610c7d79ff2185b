/**
 * A map that never changes. `withChanges` gives a new map and leaves this one as it was, at a cost that does not grow with the
 * whole size each time: changes collect in a small layer above a shared base, and the base is copied only once the layer has
 * grown to the square root of its size. So n single changes cost O(n √n), and a batch costs its own size.
 *
 * Iteration is in insertion order as far as the base goes, then the layer; callers must not rely on it.
 */
export class PersistentMap<K, V> implements ReadonlyMap<K, V> {
  readonly #base: ReadonlyMap<K, V>
  /** Wins over the base. `undefined` marks a key as removed. */
  readonly #layer: ReadonlyMap<K, V | undefined>
  readonly size: number

  private constructor(base: ReadonlyMap<K, V>, layer: ReadonlyMap<K, V | undefined>, size: number) {
    this.#base = base
    this.#layer = layer
    this.size = size
  }

  static empty<K, V>(): PersistentMap<K, V> {
    return new PersistentMap<K, V>(new Map(), new Map(), 0)
  }

  get(key: K): V | undefined {
    if (this.#layer.size === 0) return this.#base.get(key)
    const changed = this.#layer.get(key)
    if (changed !== undefined) return changed
    return this.#layer.has(key) ? undefined : this.#base.get(key)
  }

  has(key: K): boolean {
    return this.get(key) !== undefined
  }

  /** A map with the changes applied; a value of `undefined` removes the key. The given map is not kept. */
  withChanges(changes: ReadonlyMap<K, V | undefined>): PersistentMap<K, V> {
    if (changes.size === 0) return this
    let size = this.size
    for (const [key, value] of changes) {
      if (value !== undefined) size += this.has(key) ? 0 : 1
      else size -= this.has(key) ? 1 : 0
    }
    const layerSize = this.#layer.size + changes.size
    if (layerSize * layerSize < this.#base.size) {
      const layer = new Map(this.#layer)
      for (const [key, value] of changes) layer.set(key, value)
      return new PersistentMap(this.#base, layer, size)
    }
    const base = new Map(this.#base)
    for (const layer of [this.#layer, changes]) {
      for (const [key, value] of layer) {
        if (value === undefined) base.delete(key)
        else base.set(key, value)
      }
    }
    return new PersistentMap<K, V>(base, new Map(), size)
  }

  forEach(callback: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const [key, value] of this.entries()) callback(value, key, this)
  }

  *entries(): MapIterator<[K, V]> {
    for (const [key, value] of this.#base) if (!this.#layer.has(key)) yield [key, value]
    for (const [key, value] of this.#layer) if (value !== undefined) yield [key, value]
  }

  *keys(): MapIterator<K> {
    for (const entry of this.entries()) yield entry[0]
  }

  *values(): MapIterator<V> {
    for (const entry of this.entries()) yield entry[1]
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries()
  }
}
