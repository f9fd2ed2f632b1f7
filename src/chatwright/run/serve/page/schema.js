// Judges an answer by the schema that it was asked for; loaded with the first one.

import { Validator } from "./vendor/json-schema/index.js";

/**
 * Return the value of an answer, and what is wrong with it.
 * @param {string} text
 * @param {object} schema
 * @returns {{value?: any, errors: string[]}}
 */
export function judged(text, schema) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { errors: [`it is no JSON: ${error.message}`] };
  }
  try {
    const { errors } = new Validator(schema, "2020-12", false).validate(value);
    // Of what is wrong inside, the parts above say no more than that it is.
    const deepest = errors.filter(({ instanceLocation: at }) => !errors.some((other) => other.instanceLocation.startsWith(`${at}/`)));
    return { value, errors: deepest.map(({ instanceLocation, error }) => `${instanceLocation.slice(1) || "/"}: ${error}`) };
  } catch (error) {
    return { value, errors: [`the schema can't be read: ${error.message}`] };
  }
}
