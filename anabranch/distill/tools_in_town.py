"""Tools that agents have for trips and money and that answer no sub-question of the data; as in `tools_at_work`."""

BLOCKS = """
weather | weather, get_weather, forecast, meteo, weather_api, openweather.now, WeatherKit, local-forecast
Tells the weather of a place on a day.
Weather forecast for a city.
Current temperature and rain.
Use this tool to get the forecast (temperature, wind, chance of rain) for a town in the next seven days.
Meteorological conditions for a location
How warm, wet or windy it will be.

currency | currency, exchange_rate, fx, convert_currency, rates.latest, getExchangeRate, fx-rates
Gets today's exchange rate of two currencies.
Exchange rates of currencies.
Use this tool to see what a dollar, euro, pound or yen costs today in another currency.
Daily rates of the European Central Bank for foreign money
Live foreign exchange quotes

maps | directions, maps, route_finder, maps.route, getDirections, drive-route, WayFinder
Plans a way by car.
Gives driving directions.
Use this tool to get turn-by-turn directions between two addresses.
Road directions from A to B with the present traffic
Route planning for drivers and cyclists

stocks | stock_price, ticker, quotes, stocks.quote, getQuote, nasdaq-price, TickerTape
Gives the price of a share.
Latest share prices.
Use this tool to get the present quote of a listed company by its ticker symbol.
Live prices from the stock exchange
What one share of a company costs right now.

grocery_order | order_groceries, instacart.order, foodDelivery, supermarket-order
Orders groceries to be delivered.
Use this tool to place an order with the supermarket and choose a delivery slot.
Supermarket delivery

food_delivery | order_food, eats.order, pizzaOrder, takeaway
Orders a pizza.
Use this tool to order a meal from a restaurant nearby and follow the courier.
Takeaway orders

restaurant | book_table, restaurants.reserve, opentable, dinner-booking
Books a table in a restaurant.
Use this tool to find a restaurant nearby with a free table tonight.
Restaurant reservations
Table for two at eight: reserves it and sends the confirmation.

hotel | book_hotel, hotels.search, findHotel, room-booking, StayWell
Finds a hotel room.
Use this tool to book a room for given nights, with or without breakfast.
Hotel reservations
Shows free rooms near the station and books one.

flights | book_flight, flights.search, findFlights, flight-booking, SkyDesk
Books a plane ticket.
Use this tool to find flights on given dates and to reserve seats.
Flight search and booking
Offers of airlines for a trip, the cheapest first.

flight_status | flight_status, flights.track, isMyFlightLate, gate-info
Tells whether a flight is on time.
Use this tool to see the gate and the delay of a departure today.
Live departures at the airport

train_tickets | train_tickets, rail.book, buyTicket, rail-booking
Buys a train ticket.
Use this tool to reserve a seat in a train and to show the ticket's code.
Rail bookings

transit | bus_times, transit.next, nextTram, metro-departures
Says when the next bus leaves from a stop.
Use this tool for live departures of trams and undergrounds near the user.
Local public transport

taxi | call_taxi, rides.request, orderRide, uber
Orders a taxi.
Use this tool to request a ride from the user's place and to follow the driver.
Ride hailing

car_rental | rent_car, cars.rent, carHire, rental-cars
Rents a car at an airport.
Use this tool to reserve a rental car for some days.
Car hire

parking | find_parking, parking.pay, parkNow, parking-meter
Finds a free parking space.
Use this tool to pay for parking by the licence plate.
Parking in the city centre

car_control | car_control, tesla.unlock, warmUpCar, my-car
Unlocks the car and starts its heating.
Use this tool to see how full the battery of the user's car is.
Remote control of the user's car

ev_charging | charging_stations, ev.find, startCharging, plug-finder
Finds a free charging station for an electric car.
Use this tool to start or stop charging.
Charging points on the way

package_tracking | track_package, parcels.where, trackShipment, dhl-status, post_tracker
Tells where a parcel is.
Use this tool to follow a shipment by its tracking number.
Delivery status of parcels
When the courier will be at the door, by tracking code.

ship_parcel | ship_parcel, shipping.label, sendParcel, courier-pickup
Prints a shipping label.
Use this tool to ask a courier to pick up a parcel.
Parcel pick-up

shop_cart | add_to_cart, cart.checkout, buyNow, shopping-cart
Puts an article into the shopping cart.
Use this tool to check out and pay for what is in the cart.
The user's cart in our online shop

returns | return_item, shop.returns, startReturn, return-label
Starts the return of an article that the customer does not want.
Use this tool to make a return label for an order.
Returns of the online shop

coupons | find_coupon, deals.list, applyVoucher, promo-codes
Finds voucher codes for a shop.
Use this tool to apply a promotion code to the cart.
Coupons

loyalty | loyalty_points, rewards.redeem, memberCard, bonus-points
Shows a member's bonus points.
Use this tool to redeem points for a gift.
Loyalty programme of the shop

event_tickets | concert_tickets, events.buy, ticketmaster, seat-picker
Buys tickets for a concert.
Use this tool to choose seats at a show and to pay for them.
Ticket sales for events in town

cinema | cinema_times, movies.showtimes, bookCinema, tonight-at-the-movies
Shows what is on tonight at cinemas nearby.
Use this tool to reserve seats in the cinema.
Cinema bookings

crypto | crypto_wallet, wallet.balance, sendBitcoin, coin-wallet
Sends Bitcoin from the user's wallet.
Use this tool to see the user's own coins and to move them to another wallet.
Crypto wallet

bank_account | my_balance, bank.statement, accountInfo, bank-login
Shows the balance of the user's own bank account.
Use this tool to list the last card payments of the signed-in user.
Online banking

insurance | file_claim, insurance.claim, reportDamage, policy-helper
Reports damage to the insurance company.
Use this tool to change the address in an insurance policy.
Insurance claims

real_estate | find_flat, homes.viewing, flatHunter, property-alerts
Arranges the viewing of a flat.
Use this tool to be told of new flats for rent in a district.
Flat hunting

job_search | find_job, jobs.apply, jobAlerts, career-board
Applies for a job with the user's CV.
Use this tool to list vacancies near the user.
Job applications

cv_writer | write_cv, cv.layout, resumeBuilder, cover-letter
Lays out a CV.
Use this tool to write a cover letter for an application.
CVs and cover letters

government | renew_passport, gov.forms, taxFiling, city-hall
Makes an appointment at the town hall.
Use this tool to fill in the form for a new passport.
Forms for public offices

emergency | emergency_call, sos.send, alertFamily, panic-button
Calls for help and sends the user's place.
Use this tool only in an emergency, to inform the family.
Emergency button

location | where_am_i, device.location, shareLocation, find-my-phone
Shares the user's own position with a friend.
Use this tool to find a lost phone.
Location of the user's device

air_quality | air_quality, pollen.today, smogAlert, aqi-now
Says how clean the air is outside.
Use this tool to warn people with hay fever of pollen.
Air and pollen
"""
