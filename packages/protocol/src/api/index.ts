export type * from './api-definition.ts'
export * from './api-key.generated.ts'
export * from './apis.generated.ts'
export * from './java-hash.ts'
