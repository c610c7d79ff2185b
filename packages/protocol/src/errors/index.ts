export * from './error-code.generated.ts'
export type * from './error-info.ts'
export * from './error-lookup.ts'
